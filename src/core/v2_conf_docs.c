/* v2sp.conf(5) and the commented example, printed from the table of keys when
 * v2sp is built. Nothing about a key is written anywhere else, so that the
 * manual, the example and the program cannot differ. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf.h"

#include "v2_conf_keys.h"

#include <stdarg.h>

#ifndef V2_CONF_PATH
#define V2_CONF_PATH        "/etc/v2sp/config.json"
#endif

#define V2_DOCS_DATE        "November 25, 2026"
#define V2_DOCS_COLUMNS     79

static void v2_man_keys(FILE *f, const char *title, const char *prefix);
static void v2_man_key(FILE *f, const v2_conf_row_t *row);
static void v2_man_type(const v2_conf_row_t *row, char *out, size_t size);
static void v2_man_default(FILE *f, const v2_conf_row_t *row);
static void v2_man_notes(FILE *f, const v2_conf_row_t *row);
static void v2_man_text(FILE *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static size_t v2_docs_sentence(const char *text);
static size_t v2_docs_line(const char *text, size_t len, size_t columns);
static void v2_docs_words(const char *list, char *out, size_t size);
static int v2_example_want(v2_conf_tree_t *tree, const v2_conf_row_t *row);
static void v2_example_before(v2_conf_tree_t *tree, const v2_conf_row_t *row,
    int indent);
static void v2_example_comment(FILE *f, const char *text, int indent);
static void v2_example_value(v2_conf_tree_t *tree, const v2_conf_row_t *row,
    int indent);
static void v2_example_elements(v2_conf_tree_t *tree,
    const v2_conf_row_t *row, int indent);
static void v2_example_forms(v2_conf_tree_t *tree, int indent);

static const char v2_man_head[] =
    ".\\\" made by v2sp --doc-man\n"
    ".Dd " V2_DOCS_DATE "\n"
    ".Dt V2SP.CONF 5\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm v2sp.conf\n"
    ".Nd configuration file of v2sp\n"
    ".Sh DESCRIPTION\n"
    "The file is one JSON object.\n"
    "Comments that begin with // or stand between /* and */ are allowed, and\n"
    "so is a comma before a closing brace or bracket.\n"
    "Keys are found without regard to case, a number or a truth value may\n"
    "stand in quotes, and null is the same as leaving a key out.\n"
    "A key that is not known is ignored with a warning.\n"
    ".Pp\n"
    "A name of a file or folder that does not begin with a slash starts at\n"
    "the folder of the configuration file.\n"
    ".Pp\n"
    "A value that cannot be obeyed, because it is out of range or because\n"
    "what it asks for is not built yet, is never passed over in silence:\n"
    "outside of\n"
    ".Ic Nodes\n"
    "it stops the start, and a reload keeps the old configuration; within a\n"
    "node it stops that node, and the others serve.\n"
    ".Pp\n"
    "The option\n"
    ".Fl T\n"
    "of\n"
    ".Xr v2sp 8\n"
    "prints all values in effect and where each came from.\n";

static const char v2_man_tail[] =
    ".Sh FILES\n"
    ".Bl -tag -width Ds\n"
    ".It Pa " V2_CONF_PATH "\n"
    "The configuration that is read unless\n"
    ".Fl c\n"
    "names another.\n"
    ".El\n"
    ".Sh EXAMPLES\n"
    "One node of a panel:\n"
    ".Bd -literal -offset indent\n"
    "{\n"
    "    \"Nodes\": [\n"
    "        {\n"
    "            \"ApiHost\": \"https://panel.example/api/v2sp\",\n"
    "            \"ApiKey\": \"secret\",\n"
    "            \"NodeID\": 1,\n"
    "            \"CertConfig\": {\n"
    "                \"CertMode\": \"file\",\n"
    "                \"CertFile\": \"node.crt\",\n"
    "                \"KeyFile\": \"node.key\"\n"
    "            }\n"
    "        }\n"
    "    ]\n"
    "}\n"
    ".Ed\n"
    ".Pp\n"
    "A node without a panel, whose users are in a folder:\n"
    ".Bd -literal -offset indent\n"
    "{\n"
    "    \"Nodes\": [{ \"ApiHost\": \"file:nodes\", \"NodeID\": 1 }]\n"
    "}\n"
    ".Ed\n"
    ".Sh SEE ALSO\n"
    ".Xr v2sp 8\n";


void
v2_conf_print_man(FILE *f)
{
    fputs(v2_man_head, f);
    v2_man_keys(f, "PROCESS", "");
    v2_man_keys(f, "CORES", "Cores[].");
    v2_man_keys(f, "NODES", "Nodes[].");
    fputs(v2_man_tail, f);
}


void
v2_conf_print_example(FILE *f)
{
    v2_conf_tree_t  tree;

    memset(&tree, 0, sizeof(tree));
    tree.f = f;
    tree.want = v2_example_want;
    tree.before = v2_example_before;
    tree.value = v2_example_value;
    tree.elements = v2_example_elements;

    fputs("// Every key of v2sp with its default. A real configuration needs"
          " few of\n// them; see v2sp.conf(5).\n{\n", f);
    v2_conf_tree_print(&tree, "", 4);
    fputs("}\n", f);
}


/* All keys of one scope; "" is the top level, which ends at Cores and Nodes. */
static void
v2_man_keys(FILE *f, const char *title, const char *prefix)
{
    size_t                len;
    unsigned              i;
    const v2_conf_row_t  *row;

    len = strlen(prefix);

    fprintf(f, ".Sh %s\n.Bl -tag -width Ds\n", title);

    for (i = 0; i < v2_conf_rows_n; i++) {
        row = &v2_conf_rows[i];

        if ((row->flags & V2_CONF_HIDDEN)
            || strncmp(row->path, prefix, len) != 0
            || (len == 0 && strstr(row->path, "[]") != NULL))
        {
            continue;
        }

        v2_man_key(f, row);
    }

    fputs(".El\n", f);
}


static void
v2_man_key(FILE *f, const v2_conf_row_t *row)
{
    char  type[400];

    fprintf(f, ".It Ic %s\n", row->path);
    v2_man_text(f, "%s", row->text);

    if (row->def != NULL) {
        v2_man_type(row, type, sizeof(type));
        v2_man_text(f, "Allowed: %s.", type);
        v2_man_default(f, row);
    }

    v2_man_notes(f, row);
}


static void
v2_man_type(const v2_conf_row_t *row, char *out, size_t size)
{
    switch (row->type) {

    case V2_CONF_BOOL:
        snprintf(out, size, "true, false");
        break;

    case V2_CONF_UINT: case V2_CONF_KIB: case V2_CONF_SIZE:
        snprintf(out, size, "%s to %s", row->min, row->max);
        break;

    case V2_CONF_LEVEL: case V2_CONF_ENUM: case V2_CONF_WORD:
        v2_docs_words(row->min, out, size);
        break;

    case V2_CONF_IP:
        snprintf(out, size, "an address");
        break;

    case V2_CONF_FILE:
        snprintf(out, size, "a file or folder");
        break;

    case V2_CONF_MAP: case V2_CONF_ANY:
        snprintf(out, size, "an object");
        break;

    case V2_CONF_LIST:
        snprintf(out, size, "an array of objects");
        break;

    default:
        snprintf(out, size, "a text");
    }
}


static void
v2_man_default(FILE *f, const v2_conf_row_t *row)
{
    if (row->flags & V2_CONF_REQUIRED) {
        fputs("It must be there.\n", f);

    } else if (row->def[0] == '\0') {
        fputs("Default: empty.\n", f);

    } else {
        fprintf(f, "Default:\n.Ql %s .\n", row->def);
    }
}


static void
v2_man_notes(FILE *f, const v2_conf_row_t *row)
{
    char  words[256];

    if (row->alias != NULL) {
        v2_man_text(f, "%s is understood too.", row->alias);
    }

    if (row->flags & V2_CONF_LATER) {
        v2_man_text(f, "This is not built yet: any other value is refused.");
    }

    if (row->max != NULL
        && (row->type == V2_CONF_WORD || row->type == V2_CONF_ENUM
            || row->type == V2_CONF_IP))
    {
        v2_docs_words(row->max, words, sizeof(words));
        v2_man_text(f, "Known, but not built yet and refused: %s.", words);
    }

    if (row->flags & V2_CONF_WORKERS) {
        v2_man_text(f, "When a reload changes it, new workers take over.");
    }

    if (row->flags & V2_CONF_START) {
        v2_man_text(f, "Read at start only.");
    }

    if (row->flags & V2_CONF_DEAD) {
        v2_man_text(f, "Any other value gets a warning.");
    }
}


/* Each sentence on lines of its own, as mdoc(7) wants it. */
static void
v2_man_text(FILE *f, const char *fmt, ...)
{
    char      buf[1200];
    char     *p;
    size_t    sentence, n, i;
    va_list   args;

    va_start(args, fmt);
    vsnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);

    for (p = buf; *p != '\0'; /* void */ ) {
        sentence = v2_docs_sentence(p);

        while (sentence > 0) {
            n = v2_docs_line(p, sentence, V2_DOCS_COLUMNS);

            if (*p == '.' || *p == '\'') {
                fputs("\\&", f);
            }

            for (i = 0; i < n; i++) {
                fputs(p[i] == '\\' ? "\\e" : "", f);
                fputs(p[i] == '\\' ? "" : (char[2]) { p[i], '\0' }, f);
            }

            fputc('\n', f);
            n += strspn(p + n, " ");
            sentence = n < sentence ? sentence - n : 0;
            p += n;
        }
    }
}


/* Bytes up to and with the end of the first sentence. */
static size_t
v2_docs_sentence(const char *text)
{
    size_t  i;

    for (i = 0; text[i] != '\0'; i++) {
        if (strchr(".?!", text[i]) != NULL
            && (text[i + 1] == ' ' || text[i + 1] == '\0'))
        {
            return i + 1;
        }
    }

    return i;
}


/* Bytes of the first line of a text that is broken at blanks. */
static size_t
v2_docs_line(const char *text, size_t len, size_t columns)
{
    size_t  n;

    if (len <= columns) {
        return len;
    }

    for (n = columns; n > 0; n--) {
        if (text[n] == ' ') {
            return n;
        }
    }

    n = strcspn(text, " ");

    return v2_min(n, len);
}


/* "a|b|c" as "a, b, c"; the empty word is left out. */
static void
v2_docs_words(const char *list, char *out, size_t size)
{
    size_t  n, one;

    out[0] = '\0';

    for (n = 0; n < size; list += one + 1) {
        one = strcspn(list, "|");

        if (one > 0) {
            n += (size_t) snprintf(out + n, size - n, "%s%.*s",
                                   n == 0 ? "" : ", ", (int) one, list);
        }

        if (list[one] == '\0') {
            return;
        }
    }
}


static int
v2_example_want(v2_conf_tree_t *tree, const v2_conf_row_t *row)
{
    (void) tree;

    return !(row->flags & V2_CONF_HIDDEN) && row->type != V2_CONF_FLAT
           && row->type != V2_CONF_INCLUDE;
}


static void
v2_example_before(v2_conf_tree_t *tree, const v2_conf_row_t *row, int indent)
{
    fputc('\n', tree->f);
    v2_example_comment(tree->f, row->text, indent);
}


static void
v2_example_comment(FILE *f, const char *text, int indent)
{
    size_t  n, len, columns;

    columns = indent < 40 ? (size_t) (V2_DOCS_COLUMNS - 3 - indent) : 36;

    for (len = strlen(text); len > 0; len -= n, text += n) {
        n = v2_docs_line(text, len, columns);
        fprintf(f, "%*s// %.*s\n", indent, "", (int) n, text);
        n += strspn(text + n, " ");
    }
}


static void
v2_example_value(v2_conf_tree_t *tree, const v2_conf_row_t *row, int indent)
{
    char  *json, prefix[128];

    if (row->type == V2_CONF_LIST) {
        snprintf(prefix, sizeof(prefix), "%s[].", row->path);
        fprintf(tree->f, "[\n%*s{", indent + 4, "");
        v2_conf_tree_print(tree, prefix, indent + 8);
        fprintf(tree->f, "%*s}\n%*s]", indent + 4, "", indent, "");
        return;
    }

    if (row->flags & V2_CONF_REQUIRED) {
        fputs(row->min, tree->f);
        return;
    }

    json = v2_conf_default_json(row);
    fputs(json == NULL ? "null" : json, tree->f);
    free(json);
}


static void
v2_example_elements(v2_conf_tree_t *tree, const v2_conf_row_t *row,
    int indent)
{
    int   nodes;

    nodes = strcmp(row->path, "Nodes") == 0;

    if (nodes) {
        v2_example_forms(tree, indent);
    }

    fprintf(tree->f, "%*s{", indent, "");
    v2_conf_tree_print(tree, nodes ? "Nodes[]." : "Cores[].", indent + 4);
    fprintf(tree->f, "%*s}\n", indent, "");
}


/* The keys that stand for others, which no one node can have all of. */
static void
v2_example_forms(v2_conf_tree_t *tree, int indent)
{
    unsigned              i;
    const v2_conf_row_t  *row;

    for (i = 0; i < v2_conf_rows_n; i++) {
        row = &v2_conf_rows[i];

        if (row->type == V2_CONF_FLAT || row->type == V2_CONF_INCLUDE) {
            fprintf(tree->f, "%*s// \"%s\": %s\n", indent, "",
                    v2_conf_row_leaf(row),
                    row->type == V2_CONF_FLAT ? "{ ... }" : "\"node.json\"");
            v2_example_comment(tree->f, row->text, indent);
        }
    }

    fputc('\n', tree->f);
}
