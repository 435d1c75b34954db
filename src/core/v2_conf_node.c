/* Nodes of the configuration: each entry of Nodes[], in any of its forms, and
 * what must hold among its keys and between nodes.
 *
 * Invariants
 *  1. A fault of one node sets its `refused`, and never touches another.
 *  2. Every node has a tag, also a refused one, so that it can be named.
 *  3. Of two nodes that are the same to the panel, or have the same tag, the
 *     later one is refused. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf_keys.h"

#include "v2_log.h"
#include "v2_shm.h"

#define V2_NODE_TIMEOUT     5           /* what Timeout 0 means, s */

static v2_int_t v2_node_read(v2_conf_load_t *load, json_t *json,
    const v2_conf_at_t *at);
static void v2_node_refused(v2_conf_load_t *load, const json_t *json);
static const json_t *v2_node_include(const json_t *json, const char **key);
static void v2_node_included(v2_conf_load_t *load, const json_t *json,
    const json_t *value, const v2_conf_at_t *at);
static void v2_node_file(v2_conf_load_t *load, const char *name,
    const v2_conf_at_t *at);
static v2_int_t v2_node_finish(v2_conf_load_t *load, const v2_conf_at_t *at);
static v2_int_t v2_node_panel(v2_conf_load_t *load);
static v2_int_t v2_node_tag(v2_node_conf_t *node);
static v2_int_t v2_node_cert(v2_conf_load_t *load);
static v2_int_t v2_node_replace(char **text, const char *domain,
    const char *email);
static void v2_node_check(v2_conf_load_t *load, const v2_conf_at_t *at);
static void v2_node_check_api(v2_conf_load_t *load, const v2_conf_at_t *at);
static void v2_node_check_core(v2_conf_load_t *load, const v2_conf_at_t *at);
static const char *v2_node_core_name(json_t *core);
static void v2_node_check_cert(v2_conf_load_t *load, const v2_conf_at_t *at);
static void v2_node_check_same(v2_conf_load_t *load, const v2_conf_at_t *at);
static char *v2_node_mark(const v2_conf_load_t *load, const char *path);
static int v2_node_is_file(const v2_node_conf_t *node);
static v2_int_t v2_node_set(char **text, const char *value);


void
v2_conf_nodes(v2_conf_load_t *load)
{
    char           path[32];
    size_t         i, n;
    json_t        *json;
    v2_conf_at_t   at;

    n = json_array_size(load->nodes);

    if (n > V2_SHM_NODES) {
        at.path = "Nodes";
        at.place = load->nodes_place;
        v2_conf_fault(load, &at, "has %zu entries, allowed: at most %u", n,
                      (unsigned) V2_SHM_NODES);
        return;
    }

    v2_assert(load->conf->nodes == NULL && load->node == NULL);

    load->conf->nodes = calloc(n + 1, sizeof(v2_node_conf_t));

    if (load->conf->nodes == NULL) {
        load->failed = 1;
        return;
    }

    json_array_foreach(load->nodes, i, json) {
        snprintf(path, sizeof(path), "Nodes[%zu]", i);
        at.path = path;
        at.place = v2_conf_text_element(load->text, load->nodes_place, i);

        load->conf->nodes_n++;
        load->node = &load->conf->nodes[i];

        if (v2_node_read(load, json, &at) != V2_OK) {
            v2_log(V2_LOG_EMERG, NULL, 0, "%s: out of memory",
                   load->text->file);
            load->failed = 1;
            break;
        }
    }

    load->node = NULL;
    load->base = load->conf;
    load->marks = load->conf->marks;
}


void
v2_conf_node_free(v2_node_conf_t *node)
{
    v2_conf_fields_free(node, 1);
    v2_conf_marks_free(node->marks);
    free(node->tag);
    memset(node, 0, sizeof(v2_node_conf_t));
}


/* V2_ERROR: no memory; anything else is the node's own fault. */
static v2_int_t
v2_node_read(v2_conf_load_t *load, json_t *json, const v2_conf_at_t *at)
{
    const char    *key;
    const json_t  *include;

    load->base = load->node;
    load->node->marks = v2_conf_marks_create();
    load->marks = load->node->marks;

    if (load->marks == NULL || v2_conf_defaults(load->node, 1) != V2_OK) {
        return V2_ERROR;
    }

    v2_node_refused(load, json);

    include = v2_node_include(json, &key);

    if (!json_is_object(json)) {
        v2_conf_fault(load, at, "is not an object, allowed: {...}");

    } else if (include != NULL) {
        v2_node_included(load, json, include, at);

    } else {
        v2_conf_object(load, json, "Nodes[]", at);
    }

    return v2_node_finish(load, at);
}


/* A node of our own dump that was refused when the dump was made stays so,
 * and nothing is said about it again. */
static void
v2_node_refused(v2_conf_load_t *load, const json_t *json)
{
    const char  *why;

    why = json_string_value(json_object_get(json, "Refused"));

    if (load->quiet && why != NULL && why[0] != '\0') {
        load->node->refused = strdup(why);
    }
}


/* Looked for before all other keys, since it replaces them. */
static const json_t *
v2_node_include(const json_t *json, const char **key)
{
    json_t      *value;
    const char  *one;

    json_object_foreach((json_t *) (uintptr_t) json, one, value) {

        if (strcasecmp(one, "Include") == 0 && !json_is_null(value)
            && !(json_is_string(value) && json_string_length(value) == 0))
        {
            *key = one;
            return value;
        }
    }

    return NULL;
}


static void
v2_node_included(v2_conf_load_t *load, const json_t *json,
    const json_t *value, const v2_conf_at_t *at)
{
    int            twice;
    char           path[64];
    const char    *name, *key;
    v2_conf_at_t   one;

    (void) v2_node_include(json, &key);

    snprintf(path, sizeof(path), "%s.Include", at->path);
    one.path = path;
    one.place = v2_conf_text_member(load->text, at->place, key, &twice);

    name = json_string_value(value);

    if (name == NULL) {
        v2_conf_fault(load, &one, "is not a text, allowed: a file name");
        return;
    }

    if (strstr(name, "://") != NULL) {
        v2_conf_fault(load, &one, "is \"%s\": a URL is not read, save it as "
                      "a file and name that", name);
        return;
    }

    if (!load->includes) {
        v2_conf_fault(load, &one, "is not read in this place");
        return;
    }

    if (json_object_size(json) > 1) {
        v2_conf_warn(load, &one, "stands beside other keys, which have no "
                     "effect: the values come from the file");
    }

    v2_node_file(load, name, &one);
}


/* Messages about its keys name the included file, not the outer one. */
static void
v2_node_file(v2_conf_load_t *load, const char *name, const v2_conf_at_t *at)
{
    char             why[384], *file;
    v2_int_t         rc;
    v2_conf_at_t     top;
    v2_conf_load_t   inner;
    v2_conf_text_t   text;

    file = v2_conf_resolve(load->dir, name);

    if (file == NULL) {
        load->failed = 1;
        return;
    }

    rc = v2_conf_text_read(&text, file, why, sizeof(why));
    free(file);

    if (rc != V2_OK) {
        v2_conf_fault(load, at, "cannot be used: %s", why);

    } else if (!json_is_object(text.root)) {
        v2_conf_fault(load, at, "cannot be used: %s is not one object",
                      text.file);

    } else {
        inner = *load;
        inner.text = &text;
        inner.included = 1;
        top.path = "Nodes[]";
        top.place = 0;

        v2_conf_object(&inner, text.root, "Nodes[]", &top);
        load->failed |= inner.failed;
    }

    v2_conf_text_done(&text);
}


/* What follows from the keys together. */
static v2_int_t
v2_node_finish(v2_conf_load_t *load, const v2_conf_at_t *at)
{
    v2_node_conf_t  *node;

    node = load->node;

    if (node->timeout_s == 0) {
        node->timeout_s = V2_NODE_TIMEOUT;
    }

    if (node->listen_ip[0] == '\0'
        && v2_node_set(&node->listen_ip, "0.0.0.0") != V2_OK)
    {
        return V2_ERROR;
    }

    if (v2_node_panel(load) != V2_OK || v2_node_cert(load) != V2_OK
        || v2_node_tag(node) != V2_OK)
    {
        return V2_ERROR;
    }

    if (node->refused == NULL) {
        v2_node_check(load, at);
    }

    return V2_OK;
}


/* "auto" of a folder is "file", and its name becomes absolute. */
static v2_int_t
v2_node_panel(v2_conf_load_t *load)
{
    char            *dir, *host;
    v2_node_conf_t  *node;

    node = load->node;

    if (!v2_node_is_file(node)) {
        return V2_OK;
    }

    if (strcmp(node->panel_type, "auto") == 0
        && v2_node_set(&node->panel_type, "file") != V2_OK)
    {
        return V2_ERROR;
    }

    dir = v2_conf_resolve(load->dir, node->api_host + 5);

    if (dir == NULL || asprintf(&host, "file:%s", dir) == -1) {
        free(dir);
        return V2_ERROR;
    }

    free(dir);
    free(node->api_host);
    node->api_host = host;

    return V2_OK;
}


/* The Go program's form, since inboundTag in rule files names it. */
static v2_int_t
v2_node_tag(v2_node_conf_t *node)
{
    if (node->name[0] != '\0') {
        node->tag = strdup(node->name);
        return node->tag == NULL ? V2_ERROR : V2_OK;
    }

    if (asprintf(&node->tag, "[%s]-%s:%" PRIu32, node->api_host,
                 node->node_type, node->node_id) == -1)
    {
        node->tag = NULL;
        return V2_ERROR;
    }

    return V2_OK;
}


/* Our own dump has the names that came out, which are not searched again. */
static v2_int_t
v2_node_cert(v2_conf_load_t *load)
{
    char            *email;
    v2_int_t         rc;
    v2_node_conf_t  *node;

    if (load->quiet) {
        return V2_OK;
    }

    node = load->node;
    email = v2_node_mark(load, "Nodes[].CertConfig.Email");

    if (email == NULL) {
        return V2_ERROR;
    }

    rc = v2_node_replace(&node->cert_file, node->cert_domain, email);

    if (rc == V2_OK) {
        rc = v2_node_replace(&node->key_file, node->cert_domain, email);
    }

    free(email);

    return rc;
}


/* {domain} and {email}, in one pass: what is put in is not searched. */
static v2_int_t
v2_node_replace(char **text, const char *domain, const char *email)
{
    char        *out;
    FILE        *f;
    size_t       len;
    const char  *p;

    f = open_memstream(&out, &len);

    if (f == NULL) {
        return V2_ERROR;
    }

    for (p = *text; *p != '\0'; /* void */ ) {

        if (strncmp(p, "{domain}", 8) == 0) {
            fputs(domain, f);
            p += 8;

        } else if (strncmp(p, "{email}", 7) == 0) {
            fputs(email, f);
            p += 7;

        } else {
            fputc(*p++, f);
        }
    }

    if (fclose(f) != 0) {
        free(out);
        return V2_ERROR;
    }

    free(*text);
    *text = out;

    return V2_OK;
}


static void
v2_node_check(v2_conf_load_t *load, const v2_conf_at_t *at)
{
    v2_node_check_api(load, at);
    v2_node_check_core(load, at);
    v2_node_check_cert(load, at);
    v2_node_check_same(load, at);
}


static void
v2_node_check_api(v2_conf_load_t *load, const v2_conf_at_t *at)
{
    int                    file;
    const v2_node_conf_t  *node;

    node = load->node;
    file = v2_node_is_file(node);

    if (node->node_id == 0) {
        v2_conf_fault(load, at, "has no NodeID; set it to the number of the "
                      "node at the panel");
    }

    if (!file && strncasecmp(node->api_host, "http://", 7) != 0
        && strncasecmp(node->api_host, "https://", 8) != 0)
    {
        v2_conf_fault(load, at, "has the ApiHost \"%s\", allowed: http://..., "
                      "https://..., file:DIR", node->api_host);

    } else if (file != (strcmp(node->panel_type, "file") == 0)) {
        v2_conf_fault(load, at, "has the PanelType \"%s\", which does not go "
                      "with the ApiHost \"%s\"", node->panel_type,
                      node->api_host);
    }
}


/* CoreName must be the name of a core; the first one serves all the same, so
 * that its name is the one in effect. */
static void
v2_node_check_core(v2_conf_load_t *load, const v2_conf_at_t *at)
{
    char            *name;
    size_t           i;
    json_t          *core;
    const char      *one, *first;
    v2_conf_mark_t  *mark;

    name = v2_node_mark(load, "Nodes[].CoreName");

    if (name == NULL || name[0] == '\0') {
        free(name);
        return;
    }

    first = "";

    json_array_foreach(load->cores, i, core) {
        one = v2_node_core_name(core);
        first = i == 0 ? one : first;

        if (strcmp(one, name) == 0) {
            break;
        }
    }

    if (i == json_array_size(load->cores)) {
        v2_conf_fault(load, at, "has the CoreName \"%s\", and no core in "
                      "Cores has that name", name);

    } else if (i > 0) {
        mark = &load->marks[v2_conf_row_find("Nodes[].CoreName")
                            - v2_conf_rows];
        free(mark->json);
        mark->json = v2_conf_quote(first);
    }

    free(name);
}


static const char *
v2_node_core_name(json_t *core)
{
    json_t      *value;
    const char  *key;

    json_object_foreach(core, key, value) {
        if (strcasecmp(key, "Name") == 0 && json_is_string(value)) {
            return json_string_value(value);
        }
    }

    return "";
}


/* http and dns write to these names, so that every mode but self needs them. */
static void
v2_node_check_cert(v2_conf_load_t *load, const v2_conf_at_t *at)
{
    const char            *mode;
    const v2_node_conf_t  *node;

    node = load->node;

    if (node->cert_mode == V2_CERT_NONE || node->cert_mode == V2_CERT_SELF) {
        return;
    }

    if (node->cert_file[0] != '\0' && node->key_file[0] != '\0') {
        return;
    }

    mode = node->cert_mode == V2_CERT_FILE ? "file"
           : node->cert_mode == V2_CERT_HTTP ? "http" : "dns";

    v2_conf_fault(load, at, "has the CertMode \"%s\" and no %s; name both "
                  "files in CertConfig", mode,
                  node->cert_file[0] == '\0' ? "CertFile" : "KeyFile");
}


/* A refused node is no rival: who removes its fault is told then. */
static void
v2_node_check_same(v2_conf_load_t *load, const v2_conf_at_t *at)
{
    const v2_node_conf_t  *node, *other;

    node = load->node;
    v2_assert(node->tag != NULL);

    for (other = load->conf->nodes; other < node; other++) {

        if (other->refused != NULL) {
            continue;
        }

        if (other->node_id == node->node_id
            && strcmp(other->api_host, node->api_host) == 0
            && strcmp(other->api_key, node->api_key) == 0)
        {
            v2_conf_fault(load, at, "has the ApiHost, ApiKey and NodeID of "
                          "Nodes[%zu]", (size_t) (other
                                                  - load->conf->nodes));
            return;
        }

        if (strcmp(other->tag, node->tag) == 0) {
            v2_conf_fault(load, at, "has the tag \"%s\" of Nodes[%zu]; give "
                          "it a Name of its own", node->tag,
                          (size_t) (other - load->conf->nodes));
            return;
        }
    }
}


/* Heap text of a key that has no field; "" when it is not set. */
static char *
v2_node_mark(const v2_conf_load_t *load, const char *path)
{
    char                  *text;
    json_t                *json;
    const v2_conf_row_t   *row;

    row = v2_conf_row_find(path);
    text = v2_conf_value_json(row, load->base, &load->marks[row
                                                            - v2_conf_rows],
                              0);
    json = text == NULL ? NULL : json_loads(text, JSON_DECODE_ANY, NULL);
    free(text);

    text = json_is_string(json) ? strdup(json_string_value(json))
                                : strdup("");
    json_decref(json);

    return text;
}


static int
v2_node_is_file(const v2_node_conf_t *node)
{
    return strncasecmp(node->api_host, "file:", 5) == 0;
}


static v2_int_t
v2_node_set(char **text, const char *value)
{
    char  *copy;

    copy = strdup(value);

    if (copy == NULL) {
        return V2_ERROR;
    }

    free(*text);
    *text = copy;

    return V2_OK;
}
