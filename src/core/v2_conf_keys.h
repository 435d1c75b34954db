/* Inside of v2_conf*.c: the row of the key table, and what those files share.
 * Nothing outside of them includes this, tests excepted.
 *
 * A path names a key below the top level: "Log.Level", "Cores[].Type",
 * "Nodes[].CertConfig.CertMode". Its first part decides where the value goes:
 * fields of v2_node_conf_t for "Nodes[]", of v2_conf_t for all else. */

#ifndef V2_CONF_KEYS_H
#define V2_CONF_KEYS_H

#include "v2_conf.h"
#include <jansson.h>

typedef enum {                          /* type of the field */
    V2_CONF_BOOL,                       /* uint8_t */
    V2_CONF_UINT,                       /* uint32_t, min and max */
    V2_CONF_KIB,                        /* uint32_t of bytes, written in KiB */
    V2_CONF_SIZE,                       /* uint64_t of bytes, "64m" */
    V2_CONF_LEVEL,                      /* uint32_t, a log level */
    V2_CONF_ENUM,                       /* uint32_t, place in the list min */
    V2_CONF_WORD,                       /* char *, one of the list min */
    V2_CONF_TEXT,                       /* char * */
    V2_CONF_FILE,                       /* char *, relative to the file */
    V2_CONF_IP,                         /* char *, "" or a literal */
    V2_CONF_MAP,                        /* kept as JSON: object of texts */
    V2_CONF_ANY,                        /* kept as JSON */
    V2_CONF_LIST,                       /* kept as JSON: array of objects
                                         * with the keys below "path[]" */
    V2_CONF_GROUP,                      /* object with keys of its own */
    V2_CONF_FLAT,                       /* object with the keys around it */
    V2_CONF_INCLUDE,                    /* file with one node */
    V2_CONF_ARRAY                       /* Cores, Nodes */
} v2_conf_type_e;

/* flags */
#define V2_CONF_LATER       0x001       /* another value: not built yet */
#define V2_CONF_DEAD        0x002       /* another value: warned, no effect */
#define V2_CONF_SECRET      0x004       /* masked */
#define V2_CONF_NONE        0x008       /* PATH: "none" is a word */
#define V2_CONF_START       0x010       /* read at start only */
#define V2_CONF_WORKERS     0x020       /* a change makes new workers */
#define V2_CONF_HIDDEN      0x040       /* ours, between processes */
#define V2_CONF_REQUIRED    0x080       /* has no default */

#define V2_CONF_NOFIELD     UINT32_MAX
#define V2_CONF_BYTES_MAX   (4u << 20)  /* of one file */

/* The offset of a field; does not compile when its C type is another. */
#define V2_FIELD(type, field, ctype)                                         \
    (offsetof(type, field)                                                   \
     + 0 * sizeof(char[__builtin_types_compatible_p(                         \
                           __typeof__(((type *) 0)->field), ctype)           \
                       ? 1 : -1]))

typedef struct {
    const char      *path;
    v2_conf_type_e   type;
    uint32_t         field;             /* V2_FIELD, or V2_CONF_NOFIELD */
    const char      *def;               /* as it is written in the file */
    const char      *min;               /* number; or allowed words a|b|c */
    const char      *max;               /* number; or words not built yet */
    unsigned         flags;
    const char      *alias;             /* another path, or NULL */
    const char      *text;              /* for the manual; whole sentences */
} v2_conf_row_t;

extern const v2_conf_row_t v2_conf_rows[];
extern const unsigned v2_conf_rows_n;

/* Without regard to case, also by alias; NULL: not known. */
const v2_conf_row_t *v2_conf_row_find(const char *path);
/* The known path nearest to an unknown one, or NULL: none is near. */
const char *v2_conf_row_near(const char *path);
const char *v2_conf_row_leaf(const v2_conf_row_t *row);
int v2_conf_row_is_node(const v2_conf_row_t *row);

/* What is known of a value beyond its field. */
struct v2_conf_mark_s {
    char    *origin;                    /* "FILE:LINE", "-g"; NULL: default */
    char    *json;                      /* the value of a row without field */
};

/* --- v2_conf_text.c: JSON with comments, and the lines of its keys --- */

typedef struct v2_conf_place_s v2_conf_place_t;

typedef struct {
    json_t           *root;
    v2_conf_place_t  *places;           /* [0] is the root */
    uint32_t          places_n, places_cap;
    char             *text;             /* relaxed; places point into it */
    size_t            len;
    char             *file;             /* as shown in messages */
    unsigned          bom:1;            /* began with a byte order mark */
} v2_conf_text_t;

/* V2_ERROR: one line in why. In both cases v2_conf_text_done() is due. */
v2_int_t v2_conf_text_init(v2_conf_text_t *t, const char *file,
    const char *text, size_t len, char *why, size_t size);
/* Reads a regular file and calls the above. */
v2_int_t v2_conf_text_read(v2_conf_text_t *t, const char *file, char *why,
    size_t size);
void     v2_conf_text_done(v2_conf_text_t *t);
/* The place of a member or element of the place `up`; V2_NONE: not known.
 * *twice is set when a member is there more than once. */
uint32_t v2_conf_text_member(const v2_conf_text_t *t, uint32_t up,
    const char *key, int *twice);
uint32_t v2_conf_text_element(const v2_conf_text_t *t, uint32_t up, size_t i);
unsigned v2_conf_text_line(const v2_conf_text_t *t, uint32_t place);

/* --- v2_conf_value.c: one value, from JSON to field to JSON --- */

typedef struct {
    uint64_t    n;                      /* numbers, places in lists */
    char       *s;                      /* texts; NULL for numbers */
} v2_conf_value_t;

/* V2_OK; V2_DECLINED: a word not built yet; V2_ERROR: not allowed. `why` gets
 * what is allowed. The value is the caller's: v2_conf_value_done(). */
v2_int_t v2_conf_value_read(const v2_conf_row_t *row, const json_t *json,
    v2_conf_value_t *v, char *why, size_t size);
v2_int_t v2_conf_value_default(const v2_conf_row_t *row, v2_conf_value_t *v);
void     v2_conf_value_done(v2_conf_value_t *v);
/* 1: the value is the row's default. */
int      v2_conf_value_is_default(const v2_conf_row_t *row,
    const v2_conf_value_t *v);
/* Puts the value into the field (texts move there) or into the mark. */
v2_int_t v2_conf_value_store(const v2_conf_row_t *row, void *base,
    v2_conf_mark_t *mark, v2_conf_value_t *v);
/* Heap text: the value as JSON; mask: secrets become "***". */
char    *v2_conf_value_json(const v2_conf_row_t *row, const void *base,
    const v2_conf_mark_t *mark, int mask);
/* Default as JSON, heap text. */
char    *v2_conf_default_json(const v2_conf_row_t *row);
char    *v2_conf_quote(const char *text);
/* Sets all fields of a scope: nodes 0 or 1. */
v2_int_t v2_conf_defaults(void *base, int nodes);
void     v2_conf_fields_free(void *base, int nodes);

/* --- v2_conf_walk.c, v2_conf_node.c: what the loader is made of --- */

typedef struct {
    v2_conf_t              *conf;
    v2_node_conf_t         *node;       /* NULL outside of Nodes[] */
    void                   *base;       /* where fields go */
    v2_conf_mark_t         *marks;      /* [v2_conf_rows_n] of that scope */
    const v2_conf_text_t   *text;       /* the file being read, or NULL */
    const char             *dir;        /* what relative paths start from */
    json_t                 *cores, *nodes;      /* arrays met, or NULL */
    uint32_t                cores_place, nodes_place;
    unsigned                depth;      /* of v2_conf_object */
    unsigned                failed:1;   /* must not start */
    unsigned                quiet:1;    /* our own dump: warned already */
    unsigned                includes:1; /* are read */
    unsigned                included:1; /* this is one */
} v2_conf_load_t;

/* A value's place for messages. */
typedef struct {
    const char   *path;                 /* "Nodes[1].Options.Timeout" */
    uint32_t      place;                /* in load->text */
} v2_conf_at_t;

/* One line at emerg, and the load has failed; or, inside of a node, one line
 * at error, and the node is refused. */
void v2_conf_fault(v2_conf_load_t *load, const v2_conf_at_t *at,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void v2_conf_warn(v2_conf_load_t *load, const v2_conf_at_t *at,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Members of one JSON object; `path` is the table's name of it. */
void v2_conf_object(v2_conf_load_t *load, const json_t *object,
    const char *path, const v2_conf_at_t *at);
/* One value into its field or mark, with all that its row asks for. */
void v2_conf_apply(v2_conf_load_t *load, const v2_conf_row_t *row,
    const json_t *json, const v2_conf_at_t *at);
/* load->nodes into conf->nodes; the cores are known. */
void v2_conf_nodes(v2_conf_load_t *load);
void v2_conf_node_free(v2_node_conf_t *node);
v2_conf_mark_t *v2_conf_marks_create(void);
void v2_conf_marks_free(v2_conf_mark_t *marks);
/* Heap text: `path` seen from the folder `dir`. */
char *v2_conf_resolve(const char *dir, const char *path);

/* --- v2_conf_tree.c: the table as nested JSON --- */

typedef struct v2_conf_tree_s v2_conf_tree_t;

struct v2_conf_tree_s {
    FILE       *f;
    void       *owner;
    /* 1: this row is printed */
    int       (*want)(v2_conf_tree_t *tree, const v2_conf_row_t *row);
    /* Before a member, at its own indentation; may be NULL. */
    void      (*before)(v2_conf_tree_t *tree, const v2_conf_row_t *row,
                  int indent);
    /* The member's value, without newline. */
    void      (*value)(v2_conf_tree_t *tree, const v2_conf_row_t *row,
                  int indent);
    /* Behind the comma, on the same line; may be NULL. */
    void      (*after)(v2_conf_tree_t *tree, const v2_conf_row_t *row);
    /* The elements of Cores and Nodes, each through v2_conf_tree_print. */
    void      (*elements)(v2_conf_tree_t *tree, const v2_conf_row_t *row,
                  int indent);
};

/* Prints the members below `prefix` ("" or "Nodes[]."), no braces. */
void v2_conf_tree_print(v2_conf_tree_t *tree, const char *prefix, int indent);

#endif
