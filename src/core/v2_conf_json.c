/* Comments and trailing commas out of a JSON text, in place. Knows nothing of
 * JSON but strings, brackets and commas: what is wrong besides is left for the
 * parser to say.
 *
 * Invariants
 *  1. The length stays, and so does every newline.
 *  2. A string is never touched, whatever looks like a comment in it.
 *  3. One comma goes only when a value stands before it: [,] and [1,,] stay
 *     wrong. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf_json.h"

static size_t v2_relax_comment(char *text, size_t len, size_t i);
static unsigned v2_relax_line(const char *text, size_t at);


unsigned
v2_conf_relax(char *text, size_t len)
{
    char    last, before;
    size_t  i, end, comma;

    last = before = 0;              /* last two bytes that are no space */
    comma = 0;                      /* where the last one stands */

    for (i = 0; i < len; /* void */ ) {

        if (text[i] == '/' && i + 1 < len
            && (text[i + 1] == '/' || text[i + 1] == '*'))
        {
            end = v2_relax_comment(text, len, i);

            if (end > len) {
                return v2_relax_line(text, i);
            }

            i = end;
            continue;
        }

        if ((text[i] == '}' || text[i] == ']') && last == ','
            && before != ',' && before != '[' && before != '{')
        {
            text[comma] = ' ';
        }

        if (text[i] == '\0' || strchr(" \t\r\n", text[i]) == NULL) {
            before = last;
            last = text[i];
            comma = i;
        }

        i = text[i] == '"' ? v2_conf_string_end(text, len, i) : i + 1;
    }

    return 0;
}


size_t
v2_conf_string_end(const char *text, size_t len, size_t i)
{
    v2_assert(i < len && text[i] == '"');

    for (i++; i < len; i++) {

        if (text[i] == '"') {
            return i + 1;
        }

        if (text[i] == '\\' && i + 1 < len) {
            i++;
        }
    }

    return len;
}


/* The offset behind the comment; len + 1: it is not closed. */
static size_t
v2_relax_comment(char *text, size_t len, size_t i)
{
    int  block;

    block = text[i + 1] == '*';
    text[i++] = ' ';
    text[i++] = ' ';

    for ( /* void */ ; i < len; i++) {

        if (text[i] == '\n') {

            if (!block) {
                return i;
            }

            continue;
        }

        if (block && text[i] == '*' && i + 1 < len && text[i + 1] == '/') {
            text[i] = text[i + 1] = ' ';
            return i + 2;
        }

        text[i] = ' ';
    }

    return block ? len + 1 : len;
}


static unsigned
v2_relax_line(const char *text, size_t at)
{
    size_t    i;
    unsigned  line;

    for (i = 0, line = 1; i < at; i++) {
        line += text[i] == '\n';
    }

    return line;
}
