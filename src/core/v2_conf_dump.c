/* The effective configuration as text: for -T, with origins and without
 * secrets, and for our own processes, whole.
 *
 * Invariants
 *  1. Both forms parse again; the whole one to an equal configuration, without
 *     a line in the log.
 *  2. With the secrets masked, no part of them is in the text, nor a query
 *     behind a panel's address, which often holds a token. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf.h"

#include "v2_conf_keys.h"

/* Whose values are printed. */
typedef struct {
    const v2_conf_t       *conf;
    const v2_node_conf_t  *node;        /* within Nodes[] */
    int                    secrets;
} v2_dump_t;

static void v2_dump_whole(v2_conf_tree_t *tree);
static int v2_dump_want(v2_conf_tree_t *tree, const v2_conf_row_t *row);
static void v2_dump_value(v2_conf_tree_t *tree, const v2_conf_row_t *row,
    int indent);
static void v2_dump_origin(v2_conf_tree_t *tree, const v2_conf_row_t *row);
static void v2_dump_elements(v2_conf_tree_t *tree, const v2_conf_row_t *row,
    int indent);
static void v2_dump_node(v2_conf_tree_t *tree, const v2_node_conf_t *node,
    int indent);
static const v2_conf_mark_t *v2_dump_mark(const v2_dump_t *dump,
    const v2_conf_row_t *row);
static void v2_dump_comment(FILE *f, const char *text);


char *
v2_conf_dump(const v2_conf_t *conf, int secrets)
{
    char             *text;
    FILE             *f;
    size_t            len;
    v2_dump_t         dump;
    v2_conf_tree_t    tree;

    f = open_memstream(&text, &len);

    if (f == NULL) {
        return NULL;
    }

    dump.conf = conf;
    dump.node = NULL;
    dump.secrets = secrets;

    memset(&tree, 0, sizeof(tree));
    tree.f = f;
    tree.owner = &dump;
    tree.want = v2_dump_want;
    tree.value = v2_dump_value;
    tree.after = secrets ? NULL : v2_dump_origin;
    tree.elements = v2_dump_elements;

    v2_dump_whole(&tree);

    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }

    return text;
}


static void
v2_dump_whole(v2_conf_tree_t *tree)
{
    v2_dump_t  *dump;

    dump = tree->owner;

    if (!dump->secrets) {
        fputs("// configuration file ", tree->f);
        v2_dump_comment(tree->f, dump->conf->file);
        fputc('\n', tree->f);
    }

    fputs("{\n", tree->f);
    v2_conf_tree_print(tree, "", 4);
    fputs("}\n", tree->f);
}


/* Keys that only lead to others are not needed: the dump is one flat file. */
static int
v2_dump_want(v2_conf_tree_t *tree, const v2_conf_row_t *row)
{
    v2_dump_t  *dump;

    dump = tree->owner;

    if (row->type == V2_CONF_FLAT || row->type == V2_CONF_INCLUDE) {
        return 0;
    }

    if (row->flags & V2_CONF_HIDDEN) {
        return dump->secrets
               && (!v2_conf_row_is_node(row)
                   || (dump->node != NULL && dump->node->refused != NULL));
    }

    return 1;
}


/* A query in ApiHost goes with the secrets. */
static void
v2_dump_value(v2_conf_tree_t *tree, const v2_conf_row_t *row, int indent)
{
    char        *json;
    size_t       n;
    v2_dump_t   *dump;
    const void  *base;

    (void) indent;
    dump = tree->owner;

    if ((row->flags & V2_CONF_HIDDEN) && row->field == V2_CONF_NOFIELD) {
        fputs("true", tree->f);
        return;
    }

    base = dump->node != NULL ? (const void *) dump->node : dump->conf;
    json = v2_conf_value_json(row, base, v2_dump_mark(dump, row),
                              !dump->secrets);

    if (json == NULL) {
        fputs("null", tree->f);
        return;
    }

    n = strcspn(json, "?");

    if (!dump->secrets && strcmp(row->path, "Nodes[].ApiHost") == 0
        && json[n] == '?')
    {
        fprintf(tree->f, "%.*s?***\"", (int) n, json);

    } else {
        fputs(json, tree->f);
    }

    explicit_bzero(json, strlen(json));
    free(json);
}


static void
v2_dump_origin(v2_conf_tree_t *tree, const v2_conf_row_t *row)
{
    const v2_conf_mark_t  *mark;

    if (row->type == V2_CONF_GROUP || row->type == V2_CONF_ARRAY) {
        return;
    }

    mark = v2_dump_mark(tree->owner, row);
    fputs("  // ", tree->f);
    v2_dump_comment(tree->f, mark->origin != NULL ? mark->origin : "default");
}


/* One core stands for all: the others have had no say (v2_conf.c). */
static void
v2_dump_elements(v2_conf_tree_t *tree, const v2_conf_row_t *row, int indent)
{
    uint32_t    i;
    v2_dump_t  *dump;

    dump = tree->owner;

    if (strcmp(row->path, "Cores") == 0) {
        fprintf(tree->f, "%*s{\n", indent, "");
        v2_conf_tree_print(tree, "Cores[].", indent + 4);
        fprintf(tree->f, "%*s}\n", indent, "");
        return;
    }

    for (i = 0; i < dump->conf->nodes_n; i++) {
        v2_dump_node(tree, &dump->conf->nodes[i], indent);
        fputs(i + 1 < dump->conf->nodes_n ? ",\n" : "\n", tree->f);
    }
}


static void
v2_dump_node(v2_conf_tree_t *tree, const v2_node_conf_t *node, int indent)
{
    v2_dump_t  *dump;

    dump = tree->owner;
    dump->node = node;

    if (!dump->secrets && node->refused != NULL) {
        fprintf(tree->f, "%*s// does not start: ", indent, "");
        v2_dump_comment(tree->f, node->refused);
        fputc('\n', tree->f);
    }

    fprintf(tree->f, "%*s{\n", indent, "");
    v2_conf_tree_print(tree, "Nodes[].", indent + 4);
    fprintf(tree->f, "%*s}", indent, "");

    dump->node = NULL;
}


static const v2_conf_mark_t *
v2_dump_mark(const v2_dump_t *dump, const v2_conf_row_t *row)
{
    v2_assert(v2_conf_row_is_node(row) == (dump->node != NULL));

    return (dump->node != NULL ? dump->node->marks : dump->conf->marks)
           + (row - v2_conf_rows);
}


/* A file's name may hold any byte but zero. */
static void
v2_dump_comment(FILE *f, const char *text)
{
    for ( /* void */ ; *text != '\0'; text++) {
        fputc((unsigned char) *text < 0x20 ? '?' : *text, f);
    }
}
