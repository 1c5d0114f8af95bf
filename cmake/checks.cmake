# Every header of ours compiles alone: `ninja check_headers` (part of scripts/test).
