# bash completion for retrier: asks the program itself at each TAB.

_retrier() {
    COMPREPLY=()
    local said kind item word=${COMP_WORDS[COMP_CWORD]}
    said=$(command retrier __complete bash "${COMP_LINE:0:COMP_POINT}" "$2" "${COMP_TYPE:-9}" 2>/dev/null)
    kind=${said%%$'\n'*}
    case $kind in
        files) compopt -o default ;;
        folders) compopt -o dirnames ;;
        command\ *) _retrier_command "${kind#command }" ;;
        values)
            [[ $said == *$'\n'* ]] || return
            compopt -o nosort 2>/dev/null
            while IFS=$'\t' read -r item kind; do
                case $word in
                    \'*) item=${item//\'/\'\\\'\'} ;;
                    \"*)
                        item=${item//\\/\\\\} item=${item//\"/\\\"}
                        item=${item//\$/\\\$} item=${item//\`/\\\`}
                        ;;
                    *) printf -v item %q "$item" ;;
                esac
                COMPREPLY+=("$item${kind:+  ($kind)}")
            done <<<"${said#*$'\n'}"
            ;;
    esac
}

# Completes the command that begins with the character $1 of the line.
_retrier_command() {
    local at=0 rest=$COMP_LINE
    rest=${rest#"${rest%%[![:blank:]]*}"}
    while ((at < COMP_CWORD && ${#COMP_LINE} - ${#rest} < $1)); do
        rest=${rest#"${COMP_WORDS[at]}"}
        rest=${rest#"${rest%%[![:blank:]]*}"}
        ((at += 1))
    done
    if declare -F _command_offset >/dev/null; then
        _command_offset "$at"
    elif ((at == COMP_CWORD)); then
        COMPREPLY=($(compgen -c -- "${COMP_WORDS[at]}"))
    else
        compopt -o default
    fi
}

complete -F _retrier retrier
