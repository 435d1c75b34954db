/* A panel's node config becomes a spec. Both names of a field are read where
 * panels differ; types are lenient.
 *
 * Invariants
 *  1. What this build cannot do is refused by name, never left out: a node
 *     that seems to work without its block rules is worse than none.
 *  2. Without server_port it is no config, whatever the status was.
 *  3. The intervals are known even of a config that is refused. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel_answer.h"
#include "v2_panel_json.h"
#include "v2_panel_text.h"

#include <stdarg.h>

#define V2_INTERVAL_MIN     5
#define V2_INTERVAL_MAX     3600
#define V2_INTERVAL_DEFAULT 60

typedef struct {
    json_t                *root;
    const v2_node_conf_t  *conf;
    v2_config_answer_t    *a;
} v2_config_ctx_t;

typedef v2_int_t (*v2_config_pt)(v2_config_ctx_t *c);


static v2_int_t v2_config_intervals(v2_config_ctx_t *c);
static v2_int_t v2_config_port(v2_config_ctx_t *c);
static v2_int_t v2_config_protocol(v2_config_ctx_t *c);
static v2_int_t v2_config_network(v2_config_ctx_t *c);
static v2_int_t v2_config_security(v2_config_ctx_t *c);
static v2_int_t v2_config_encryption(v2_config_ctx_t *c);
static v2_int_t v2_config_routes(v2_config_ctx_t *c);
static v2_int_t v2_config_extras(v2_config_ctx_t *c);
static v2_int_t v2_config_codec(v2_config_ctx_t *c);
static uint32_t v2_config_interval(const json_t *base, const char *name);
static v2_int_t v2_config_route(v2_config_ctx_t *c, const json_t *route);
static v2_int_t v2_config_fail(v2_config_ctx_t *c, v2_int_t rc,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void v2_config_warn(v2_config_ctx_t *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


/* in this order: intervals first, then what is wrong, then what is not built */
static const v2_config_pt  v2_config_steps[] = {
    v2_config_intervals,
    v2_config_port,
    v2_config_protocol,
    v2_config_network,
    v2_config_security,
    v2_config_encryption,
    v2_config_routes,
    v2_config_extras,
    v2_config_codec
};

/* actions of routes that change what users may reach or how */
static const char *const  v2_config_acting[] = {
    "block", "dns", "block_ip", "block_port", "protocol", "route", "route_ip",
    "default_out", "proxy"
};

/* Xboard's own ways to say the same */
static const char *const  v2_config_custom[] = {
    "custom_routes", "custom_route_rules", "custom_outbounds"
};


v2_int_t
v2_answer_config(const char *body, size_t len, const v2_node_conf_t *conf,
    v2_config_answer_t *a)
{
    size_t           i;
    v2_int_t         rc;
    v2_config_ctx_t  c;

    memset(a, 0, sizeof(*a));
    a->spec.push_s = V2_INTERVAL_DEFAULT;
    a->spec.pull_s = V2_INTERVAL_DEFAULT;

    c.conf = conf;
    c.a = a;
    c.root = v2_json_parse(body, len, a->why, sizeof(a->why));

    if (c.root == NULL) {
        return V2_ERROR;
    }

    rc = V2_OK;

    for (i = 0; i < v2_nelems(v2_config_steps) && rc == V2_OK; i++) {
        rc = v2_config_steps[i](&c);
    }

    json_decref(c.root);
    return rc;
}


static v2_int_t
v2_config_intervals(v2_config_ctx_t *c)
{
    json_t  *base;

    base = json_object_get(c->root, "base_config");

    c->a->spec.push_s = v2_config_interval(base, "push_interval");
    c->a->spec.pull_s = v2_config_interval(base, "pull_interval");

    return V2_OK;
}


static v2_int_t
v2_config_port(v2_config_ctx_t *c)
{
    json_t   *v;
    int64_t   port;

    if (v2_json_fail(c->root)) {
        return v2_config_fail(c, V2_ERROR, "the panel refused");
    }

    v = json_object_get(c->root, "server_port");
    if (v == NULL || v2_json_none(v)) {
        return v2_config_fail(c, V2_ERROR,
                              "the answer has no \"server_port\"");
    }

    if (v2_json_int(v, &port) != V2_OK || port < 1 || port > 65535) {
        return v2_config_fail(c, V2_DECLINED, "\"server_port\" is not a port "
                              "between 1 and 65535");
    }

    c->a->spec.port = (uint16_t) port;
    return V2_OK;
}


static v2_int_t
v2_config_protocol(v2_config_ctx_t *c)
{
    char        type[sizeof(c->a->spec.protocol)];
    v2_int_t    rc;
    v2_spec_t  *spec;

    spec = &c->a->spec;

    rc = v2_json_text(v2_json_either(c->root, "node_type", "protocol"), type,
                      sizeof(type), 1);

    if (rc == V2_ERROR) {
        return v2_config_fail(c, V2_DECLINED, "\"node_type\" is not known");
    }

    if (strcmp(type, "v2ray") == 0) {
        memcpy(type, "vmess", sizeof("vmess"));
    }

    if (c->conf->node_type != NULL && c->conf->node_type[0] != '\0') {
        if (type[0] != '\0' && strcmp(type, c->conf->node_type) != 0) {
            v2_config_warn(c, "the panel says node_type \"%s\", NodeType "
                           "\"%s\" of the config is used", type,
                           c->conf->node_type);
        }

        (void) snprintf(spec->protocol, sizeof(spec->protocol), "%s",
                        c->conf->node_type);

    } else if (type[0] == '\0') {
        return v2_config_fail(c, V2_DECLINED, "the answer names no "
                              "\"node_type\": set NodeType in the config");

    } else {
        memcpy(spec->protocol, type, sizeof(type));
    }

    if (v2_codec_find(spec->protocol) == NULL) {
        return v2_config_fail(c, V2_DECLINED, "protocol \"%s\" is not built "
                              "yet", spec->protocol);
    }

    spec->tcp = 1;
    spec->udp = (strcmp(spec->protocol, "shadowsocks") == 0);
    return V2_OK;
}


static v2_int_t
v2_config_network(v2_config_ctx_t *c)
{
    char         header[32];
    json_t      *v, *settings;
    v2_spec_t   *spec;

    spec = &c->a->spec;
    settings = v2_json_either(c->root, "networkSettings", "network_settings");
    v = json_object_get(c->root, "network");

    if (v2_json_text(v, spec->network, sizeof(spec->network), 1) == V2_ERROR) {
        return v2_config_fail(c, V2_DECLINED, "\"network\" is not known");
    }

    if (spec->network[0] == '\0' || strcmp(spec->network, "raw") == 0) {
        memset(spec->network, 0, sizeof(spec->network));
        memcpy(spec->network, "tcp", 3);
    }

    if (strcmp(spec->network, "tcp") != 0) {
        return v2_config_fail(c, V2_DECLINED, "network \"%s\" is not built "
                              "yet", spec->network);
    }

    if (v2_json_true(json_object_get(settings, "acceptProxyProtocol"))
        || v2_json_true(json_object_get(settings, "accept_proxy_protocol"))
        || v2_json_true(json_object_get(c->root, "accept_proxy_protocol")))
    {
        return v2_config_fail(c, V2_DECLINED, "\"acceptProxyProtocol\" is not "
                              "built yet");
    }

    v = json_object_get(json_object_get(settings, "header"), "type");

    if (v2_json_text(v, header, sizeof(header), 1) != V2_DONE
        && strcmp(header, "none") != 0)
    {
        return v2_config_fail(c, V2_DECLINED, "tcp header type \"%s\" is not "
                              "built yet", header);
    }

    return V2_OK;
}


static v2_int_t
v2_config_security(v2_config_ctx_t *c)
{
    json_t     *v, *tls;
    int64_t     mode;
    v2_spec_t  *spec;

    spec = &c->a->spec;
    tls = v2_json_either(c->root, "tls_settings", "tlsSettings");
    v = json_object_get(c->root, "tls");
    mode = (strcmp(spec->protocol, "trojan") == 0) ? 1 : 0;

    if (v != NULL && !v2_json_none(v)
        && (v2_json_int(v, &mode) != V2_OK || mode < 0 || mode > 2))
    {
        return v2_config_fail(c, V2_DECLINED, "\"tls\" is not 0, 1 or 2");
    }

    if (mode == 2) {
        return v2_config_fail(c, V2_DECLINED, "\"tls\" 2 (REALITY) is not "
                              "built yet");
    }

    spec->security = (mode == 1) ? V2_SEC_TLS : V2_SEC_NONE;

    v = v2_json_either(tls, "server_name", "serverName");
    v = (v != NULL) ? v : json_object_get(c->root, "server_name");

    if (v2_json_text(v, spec->server_name, sizeof(spec->server_name), 1)
        == V2_ERROR)
    {
        v2_config_warn(c, "\"server_name\" is not a name and not used");
    }

    v = json_object_get(c->root, "flow");

    if (v2_json_text(v, spec->flow, sizeof(spec->flow), 1) == V2_ERROR) {
        return v2_config_fail(c, V2_DECLINED, "\"flow\" is not known");
    }

    if (v2_json_true(json_object_get(json_object_get(tls, "ech"), "enabled")))
    {
        v2_config_warn(c, "encrypted client hellos are not built yet, "
                       "clients must not use \"ech\"");
    }

    return V2_OK;
}


static v2_int_t
v2_config_encryption(v2_config_ctx_t *c)
{
    char      text[32];
    size_t    i;
    json_t   *v;
    v2_int_t  rc;

    static const char *const  names[] = { "encryption", "decryption" };

    for (i = 0; i < v2_nelems(names); i++) {
        v = json_object_get(c->root, names[i]);
        rc = v2_json_text(v, text, sizeof(text), 1);

        if (rc == V2_ERROR
            || (rc == V2_OK && strcmp(text, "none") != 0
                && strcmp(text, "null") != 0))
        {
            return v2_config_fail(c, V2_DECLINED, "\"%s\" other than none is "
                                  "not built yet", names[i]);
        }
    }

    return V2_OK;
}


static v2_int_t
v2_config_routes(v2_config_ctx_t *c)
{
    void        *it;
    size_t       i;
    json_t      *routes, *route;
    v2_int_t     rc;

    routes = json_object_get(c->root, "routes");

    if (routes == NULL || v2_json_none(routes)) {
        return V2_OK;
    }

    if (json_is_array(routes)) {
        json_array_foreach(routes, i, route) {
            rc = v2_config_route(c, route);
            if (rc != V2_OK) {
                return rc;
            }
        }

        return V2_OK;
    }

    /* PHP makes an object of a list with holes */

    for (it = json_object_iter(routes); it != NULL;
         it = json_object_iter_next(routes, it))
    {
        rc = v2_config_route(c, json_object_iter_value(it));
        if (rc != V2_OK) {
            return rc;
        }
    }

    if (!json_is_object(routes)) {
        return v2_config_fail(c, V2_DECLINED, "\"routes\" is not a list");
    }

    return V2_OK;
}


static v2_int_t
v2_config_extras(v2_config_ctx_t *c)
{
    size_t   i;
    json_t  *v;

    for (i = 0; i < v2_nelems(v2_config_custom); i++) {
        v = json_object_get(c->root, v2_config_custom[i]);

        if (v != NULL && !v2_json_none(v)) {
            return v2_config_fail(c, V2_DECLINED, "panel routes are not built "
                                  "yet (\"%s\")", v2_config_custom[i]);
        }
    }

    v = json_object_get(c->root, "multiplex");

    if (v2_json_true(json_object_get(v, "enabled"))) {
        v2_config_warn(c, "\"multiplex\" is not built yet, clients must not "
                       "use it");
    }

    return V2_OK;
}


static v2_int_t
v2_config_codec(v2_config_ctx_t *c)
{
    const v2_codec_t  *codec;

    codec = v2_codec_find(c->a->spec.protocol);

    if (codec->check != NULL
        && codec->check(&c->a->spec, c->a->why, sizeof(c->a->why)) != V2_OK)
    {
        return V2_DECLINED;
    }

    return V2_OK;
}


static uint32_t
v2_config_interval(const json_t *base, const char *name)
{
    int64_t  s;

    if (v2_json_int(json_object_get(base, name), &s) != V2_OK
        || s < V2_INTERVAL_MIN || s > V2_INTERVAL_MAX)
    {
        return V2_INTERVAL_DEFAULT;
    }

    return (uint32_t) s;
}


static v2_int_t
v2_config_route(v2_config_ctx_t *c, const json_t *route)
{
    char      action[32], shown[32];
    size_t    i;
    json_t   *v;

    v = json_object_get(route, "action");

    if (v2_json_text(v, action, sizeof(action), 1) == V2_ERROR) {
        (void) snprintf(action, sizeof(action), "?");
    }

    for (i = 0; i < v2_nelems(v2_config_acting); i++) {
        if (strcmp(action, v2_config_acting[i]) == 0) {
            return v2_config_fail(c, V2_DECLINED, "panel routes are not built "
                                  "yet (action \"%s\")", action);
        }
    }

    if (strcmp(action, "direct") != 0) {
        v2_text_clean(shown, sizeof(shown), action, strlen(action), NULL);
        v2_config_warn(c, "a route with the unknown action \"%s\" is left "
                       "out", shown);
    }

    return V2_OK;
}


static v2_int_t
v2_config_fail(v2_config_ctx_t *c, v2_int_t rc, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(c->a->why, sizeof(c->a->why), fmt, args);
    va_end(args);

    return rc;
}


/* The first one is kept: one line an answer. */
static void
v2_config_warn(v2_config_ctx_t *c, const char *fmt, ...)
{
    va_list  args;

    if (c->a->warn[0] != '\0') {
        return;
    }

    va_start(args, fmt);
    (void) vsnprintf(c->a->warn, sizeof(c->a->warn), fmt, args);
    va_end(args);
}
