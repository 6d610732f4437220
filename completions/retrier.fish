# fish completion for retrier: asks the program itself at each TAB.

function __retrier_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l said (command retrier __complete fish $words "$current" 2>/dev/null)
    switch "$said[1]"
        case values
            set -q said[2]; and printf '%s\n' $said[2..]
        case files folders
            set -l option (string match -r '^--[^=]*=' -- "$current")
            set -l path (string replace -r '^--[^=]*=' '' -- "$current")
            if test "$said[1]" = files
                printf '%s\n' "$option"(__fish_complete_path "$path")
            else
                printf '%s\n' "$option"(__fish_complete_directories "$path" '')
            end
        case 'command *'
            # fish counts from 1.
            set -l first (math (string split ' ' -- $said[1])[2] + 1)
            complete -C "$(string escape -- $words[$first..] | string join ' ') $current"
    end
end

complete -c retrier -e
complete -c retrier -k -f -a '(__retrier_complete)'
