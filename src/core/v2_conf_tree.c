/* The table of keys printed as nested JSON: the frame of the dump and of the
 * commented example. Both differ only in what stands before, in and behind a
 * member: a table of functions each.
 *
 * Invariants
 *  1. A row's path gives its place; rows with a common beginning stand together
 *     in the table (v2_conf_keys.c).
 *  2. The last member of an object has no comma, so that the text is plain JSON
 *     when no comments are printed. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf_keys.h"

/* The rows below one prefix. */
typedef struct {
    const char  *prefix;
    size_t       len;
    int          indent;
} v2_tree_level_t;

static unsigned v2_tree_next(v2_conf_tree_t *tree,
    const v2_tree_level_t *level, unsigned i);
static int v2_tree_wanted(v2_conf_tree_t *tree, const v2_conf_row_t *row);
static int v2_tree_below(const v2_conf_row_t *row, const char *prefix,
    size_t len);
static void v2_tree_member(v2_conf_tree_t *tree, const v2_conf_row_t *row,
    int indent);


void
v2_conf_tree_print(v2_conf_tree_t *tree, const char *prefix, int indent)
{
    unsigned              i, next;
    v2_tree_level_t       level;
    const v2_conf_row_t  *row;

    level.prefix = prefix;
    level.len = strlen(prefix);
    v2_assert(level.len == 0 || prefix[level.len - 1] == '.');
    level.indent = indent;

    for (i = v2_tree_next(tree, &level, 0); i < v2_conf_rows_n; i = next) {
        row = &v2_conf_rows[i];
        next = v2_tree_next(tree, &level, i + 1);

        if (tree->before != NULL) {
            tree->before(tree, row, indent);
        }

        fprintf(tree->f, "%*s\"%s\": ", indent, "", row->path + level.len);
        v2_tree_member(tree, row, indent);
        fputs(next < v2_conf_rows_n ? "," : "", tree->f);

        if (tree->after != NULL) {
            tree->after(tree, row);
        }

        fputc('\n', tree->f);
    }
}


/* The next row directly below the prefix that is printed. */
static unsigned
v2_tree_next(v2_conf_tree_t *tree, const v2_tree_level_t *level, unsigned i)
{
    const v2_conf_row_t  *row;

    for ( /* void */ ; i < v2_conf_rows_n; i++) {
        row = &v2_conf_rows[i];

        if (v2_tree_below(row, level->prefix, level->len)
            && strchr(row->path + level->len, '.') == NULL
            && v2_tree_wanted(tree, row))
        {
            break;
        }
    }

    return i;
}


/* A group is printed when one of its members is. */
static int
v2_tree_wanted(v2_conf_tree_t *tree, const v2_conf_row_t *row)
{
    size_t    len;
    unsigned  i;

    if (row->type != V2_CONF_GROUP) {
        return tree->want(tree, row);
    }

    len = strlen(row->path);

    for (i = 0; i < v2_conf_rows_n; i++) {

        if (v2_tree_below(&v2_conf_rows[i], row->path, len)
            && v2_conf_rows[i].path[len] == '.'
            && v2_conf_rows[i].type != V2_CONF_GROUP
            && tree->want(tree, &v2_conf_rows[i]))
        {
            return 1;
        }
    }

    return 0;
}


static int
v2_tree_below(const v2_conf_row_t *row, const char *prefix, size_t len)
{
    return strncmp(row->path, prefix, len) == 0 && row->path[len] != '\0';
}


static void
v2_tree_member(v2_conf_tree_t *tree, const v2_conf_row_t *row, int indent)
{
    char  prefix[128];

    switch (row->type) {

    case V2_CONF_GROUP:
        snprintf(prefix, sizeof(prefix), "%s.", row->path);
        fputs("{\n", tree->f);
        v2_conf_tree_print(tree, prefix, indent + 4);
        fprintf(tree->f, "%*s}", indent, "");
        return;

    case V2_CONF_ARRAY:
        fputs("[\n", tree->f);
        tree->elements(tree, row, indent + 4);
        fprintf(tree->f, "%*s]", indent, "");
        return;

    default:
        tree->value(tree, row, indent);
    }
}
