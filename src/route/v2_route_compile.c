/* route.json to a compiled block (v2_route.h). Runs in the builder; a file
 * that says anything this build cannot do fails the image with one line that
 * names rule, key, value and what is possible, because a rule that is left out
 * would let a flow pass, or leave by the wrong way.
 *
 * Invariants
 *  1. The block is built apart, with offsets from its own start, and appended
 *     to the image in one piece: the image may be mapped anywhere.
 *  2. A rule without a condition is refused: it is a typing mistake, and as a
 *     catch-all it would hide all rules behind it.
 *  3. Known keys of the reference server are told apart from mistakes:
 *     "is not built yet" or "is unknown". Their empty values are their
 *     defaults and are accepted. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_route_json.h"


typedef struct {
    v2_flat_t           block;
    v2_route_msg_t      msg;
    v2_route_rule_t     rule;           /* the one being read */
    unsigned            seen;           /* bits of v2_route_keys[] */

    v2_ref_t           *tags;           /* of the rule */
    uint32_t            tags_n;
    v2_route_port_t    *ports;
    uint32_t            ports_n;
    v2_route_ranges_t   ip4, ip6;
} v2_route_build_t;

typedef struct {
    const char   *key;
    v2_int_t    (*read)(v2_route_build_t *rb, const char *key, json_t *value);
} v2_route_key_t;


static v2_int_t v2_route_file(v2_route_build_t *rb, const char *text,
    size_t len);
static v2_int_t v2_route_strategy(v2_route_build_t *rb, const char *key,
    json_t *value);
static v2_int_t v2_route_rules(v2_route_build_t *rb, const char *key,
    json_t *value);
static v2_int_t v2_route_read_rule(v2_route_build_t *rb, json_t *object);
static v2_int_t v2_route_read_key(v2_route_build_t *rb, const char *key,
    json_t *value);
static v2_int_t v2_route_end_rule(v2_route_build_t *rb);
static v2_int_t v2_route_type(v2_route_build_t *rb, const char *key,
    json_t *value);
static v2_int_t v2_route_name(v2_route_build_t *rb, const char *key,
    json_t *value);
static v2_int_t v2_route_outbound_tag(v2_route_build_t *rb, const char *key,
    json_t *value);
static v2_int_t v2_route_network(v2_route_build_t *rb, const char *key,
    json_t *value);
static v2_int_t v2_route_network_put(void *owner, const char *part);
static v2_int_t v2_route_inbound(v2_route_build_t *rb, const char *key,
    json_t *value);
static v2_int_t v2_route_inbound_put(void *owner, const char *part);
static v2_int_t v2_route_ports(v2_route_build_t *rb, const char *key,
    json_t *value);
static v2_int_t v2_route_ports_put(void *owner, const char *part);
static int v2_route_port_parse(const char **text, uint16_t *port);
static v2_int_t v2_route_ip(v2_route_build_t *rb, const char *key,
    json_t *value);
static v2_int_t v2_route_ip_put(void *owner, const char *part);
static int v2_route_is_later(const char *const *list, const char *key);
static void v2_route_build_done(v2_route_build_t *rb);


static const v2_route_key_t  v2_route_top[] = {
    { "domainStrategy", v2_route_strategy },
    { "rules", v2_route_rules },
};

/* Conditions stand last. */

#define V2_ROUTE_KEY_OUT        2
#define V2_ROUTE_KEY_CONDITION  3

static const v2_route_key_t  v2_route_keys[] = {
    { "type", v2_route_type },
    { "ruleTag", v2_route_name },
    [V2_ROUTE_KEY_OUT] = { "outboundTag", v2_route_outbound_tag },
    [V2_ROUTE_KEY_CONDITION] = { "network", v2_route_network },
    { "inboundTag", v2_route_inbound },
    { "port", v2_route_ports },
    { "ip", v2_route_ip },
};

static const char *const  v2_route_top_later[] = {
    "domainMatcher", "balancers", NULL
};

static const char *const  v2_route_keys_later[] = {
    "domain", "domains", "domainMatcher", "protocol", "source", "sourceIP",
    "sourcePort", "user", "attrs", "balancerTag", "localIP", "localPort",
    "process", "vlessRoute", "webhook", NULL
};


v2_int_t
v2_route_compile(v2_flat_t *out, v2_ref_t *ref,
    const char *route, size_t route_len,
    const char *outbound, size_t outbound_len,
    const char *dns, size_t dns_len, char *why, size_t why_size)
{
    v2_ref_t           text;
    v2_int_t           rc;
    const char        *name;
    v2_route_build_t   rb;
    v2_route_block_t   head, *b;

    memset(&rb, 0, sizeof(rb));
    memset(&head, 0, sizeof(head));
    memset(ref, 0, sizeof(*ref));

    rb.ip4.width = 4;
    rb.ip6.width = 16;
    rb.msg.why = why;
    rb.msg.size = why_size;
    snprintf(why, why_size, "out of memory");

    name = "default";
    head.magic = V2_ROUTE_MAGIC;
    head.version = V2_ROUTE_VERSION;
    head.way.action = V2_ROUTE_DIRECT;
    head.way.family = V2_FAMILY_ANY;

    v2_flat_init(&rb.block);
    v2_flat_add(&rb.block, &head, sizeof(head));
    rc = V2_OK;

    if (outbound_len != 0) {
        rb.msg.key = "OutboundConfigPath";
        rc = v2_route_outbounds(&rb.msg, outbound, outbound_len, &head.way,
                                &name);
    }

    if (rc == V2_OK && dns_len != 0) {
        rb.msg.key = "DnsConfigPath";
        rc = v2_route_dns(&rb.msg, dns, dns_len);
    }

    rb.msg.key = "RouteConfigPath";
    text = v2_flat_str(&rb.block, name);

    if (rc == V2_OK && route_len != 0) {
        rc = v2_route_file(&rb, route, route_len);
    }

    if (rc == V2_OK && rb.block.failed) {
        rc = v2_route_fail(&rb.msg, "rules are too large, or out of memory");
    }

    if (rc == V2_OK) {
        b = (v2_route_block_t *) (void *) rb.block.data;
        b->size = rb.block.len;
        b->way = head.way;
        b->name = text;

        v2_assert(v2_route_check(rb.block.data, rb.block.len) == V2_OK);

        *ref = v2_flat_add(out, rb.block.data, rb.block.len);

        if (out->failed) {
            rc = v2_route_fail(&rb.msg, "out of memory");
        }
    }

    v2_route_build_done(&rb);

    return rc;
}


static v2_int_t
v2_route_file(v2_route_build_t *rb, const char *text, size_t len)
{
    size_t       i;
    json_t      *root, *value;
    v2_int_t     rc;
    const char  *key;

    root = v2_route_json_load(&rb->msg, text, len);

    if (root == NULL) {
        return V2_ERROR;
    }

    rc = V2_OK;

    if (!json_is_object(root)) {
        rc = v2_route_fail(&rb->msg, "must be an object with \"rules\"");
        goto done;
    }

    json_object_foreach(root, key, value) {
        for (i = 0; i < v2_nelems(v2_route_top); i++) {
            if (strcasecmp(key, v2_route_top[i].key) == 0) {
                break;
            }
        }

        if (v2_route_json_empty(value)) {
            rc = i < v2_nelems(v2_route_top)
                 || v2_route_is_later(v2_route_top_later, key) ? V2_OK
                 : v2_route_fail(&rb->msg, "\"%.40s\" is unknown; possible "
                                 "are domainStrategy, rules", key);

        } else if (i < v2_nelems(v2_route_top)) {
            rc = v2_route_top[i].read(rb, key, value);

        } else {
            rc = v2_route_fail_value(&rb->msg, key, value,
                     v2_route_is_later(v2_route_top_later, key)
                     ? "is not built yet; possible are domainStrategy, rules"
                     : "is unknown; possible are domainStrategy, rules");
        }

        if (rc != V2_OK) {
            break;
        }
    }

done:

    json_decref(root);

    return rc;
}


static v2_int_t
v2_route_strategy(v2_route_build_t *rb, const char *key, json_t *value)
{
    if (v2_route_json_is(value, "AsIs")) {
        return V2_OK;
    }

    return v2_route_fail_value(&rb->msg, key, value,
               v2_route_json_is(value, "IPIfNonMatch")
               || v2_route_json_is(value, "IPOnDemand")
               ? "is not built yet; possible is \"AsIs\""
               : "is unknown; possible is \"AsIs\"");
}


static v2_int_t
v2_route_rules(v2_route_build_t *rb, const char *key, json_t *value)
{
    size_t            i, n;
    v2_int_t          rc;
    v2_ref_t          ref;
    v2_route_rule_t  *rules;

    n = json_array_size(value);

    if (!json_is_array(value) || n > V2_ROUTE_RULES) {
        return v2_route_fail_value(&rb->msg, key, value,
                                   "must be a list of at most 65536 rules");
    }

    rules = calloc(n, sizeof(*rules));

    if (rules == NULL) {
        return v2_route_fail(&rb->msg, "out of memory");
    }

    rc = V2_OK;
    rb->msg.item = "rule";

    for (i = 0; i < n && rc == V2_OK; i++) {
        rb->msg.number = i + 1;
        rc = v2_route_read_rule(rb, json_array_get(value, i));
        rules[i] = rb->rule;
    }

    rb->msg.item = NULL;
    rb->msg.tag = NULL;

    if (rc == V2_OK) {
        ref = v2_flat_add(&rb->block, rules, n * sizeof(*rules));

        if (!rb->block.failed) {
            ((v2_route_block_t *) (void *) rb->block.data)->rules = ref;
        }
    }

    free(rules);

    return rc;
}


static v2_int_t
v2_route_read_rule(v2_route_build_t *rb, json_t *object)
{
    json_t      *value;
    v2_int_t     rc;
    const char  *key;

    memset(&rb->rule, 0, sizeof(rb->rule));
    rb->seen = 0;
    rb->tags_n = 0;
    rb->ports_n = 0;
    rb->ip4.n = 0;
    rb->ip6.n = 0;
    rb->msg.tag = NULL;

    if (!json_is_object(object)) {
        return v2_route_fail(&rb->msg, "must be an object");
    }

    rb->msg.tag = json_string_value(v2_route_json_get(object, "ruleTag"));

    if (rb->msg.tag != NULL && *rb->msg.tag == '\0') {
        rb->msg.tag = NULL;
    }

    json_object_foreach(object, key, value) {
        rc = v2_route_read_key(rb, key, value);

        if (rc != V2_OK) {
            return rc;
        }
    }

    return v2_route_end_rule(rb);
}


static v2_int_t
v2_route_read_key(v2_route_build_t *rb, const char *key, json_t *value)
{
    size_t       i;
    const char  *what;

    for (i = 0; i < v2_nelems(v2_route_keys); i++) {
        if (strcasecmp(key, v2_route_keys[i].key) != 0) {
            continue;
        }

        if (v2_route_json_empty(value)) {
            return V2_OK;
        }

        if (rb->seen & 1u << i) {
            return v2_route_fail(&rb->msg, "\"%.40s\" is given twice", key);
        }

        rb->seen |= 1u << i;

        return v2_route_keys[i].read(rb, key, value);
    }

    if (v2_route_is_later(v2_route_keys_later, key)) {
        if (v2_route_json_empty(value)) {
            return V2_OK;
        }

        what = "is not built yet; possible are type, ruleTag, outboundTag, "
               "network, inboundTag, port, ip";

    } else {
        what = "is unknown; possible are type, ruleTag, outboundTag, "
               "network, inboundTag, port, ip";
    }

    return v2_route_fail_value(&rb->msg, key, value, what);
}


/* Turns what the keys left in rb into one rule. */

static v2_int_t
v2_route_end_rule(v2_route_build_t *rb)
{
    char              name[32];
    v2_flat_t        *f;
    v2_route_rule_t  *rule;

    f = &rb->block;
    rule = &rb->rule;

    if (!(rb->seen & 1u << V2_ROUTE_KEY_OUT)) {
        return v2_route_fail(&rb->msg, "has no \"outboundTag\"");
    }

    if (rb->seen >> V2_ROUTE_KEY_CONDITION == 0) {
        return v2_route_fail(&rb->msg, "has no condition; \"network\": "
                             "\"tcp,udp\" is the one that matches all");
    }

    snprintf(name, sizeof(name), "rule %zu", rb->msg.number);
    rule->name = v2_flat_str(f, rb->msg.tag != NULL ? rb->msg.tag : name);

    if (rule->nets == 0) {
        rule->nets = V2_ROUTE_TCP | V2_ROUTE_UDP;
    }

    if (rb->tags_n != 0) {
        rule->tags = v2_flat_add(f, rb->tags, rb->tags_n * sizeof(v2_ref_t));
    }

    if (rb->ports_n != 0) {
        rule->ports = v2_flat_add(f, rb->ports,
                                  rb->ports_n * sizeof(v2_route_port_t));
    }

    rule->has_ip = rb->ip4.n != 0 || rb->ip6.n != 0;

    v2_route_ranges_sort(&rb->ip4);
    v2_route_ranges_sort(&rb->ip6);

    if (rb->ip4.n != 0) {
        rule->ip4 = v2_flat_add(f, rb->ip4.data, (size_t) rb->ip4.n * 8);
    }

    if (rb->ip6.n != 0) {
        rule->ip6 = v2_flat_add(f, rb->ip6.data, (size_t) rb->ip6.n * 32);
    }

    return V2_OK;
}


static v2_int_t
v2_route_type(v2_route_build_t *rb, const char *key, json_t *value)
{
    if (v2_route_json_is(value, "field")) {
        return V2_OK;
    }

    return v2_route_fail_value(&rb->msg, key, value,
                               "is unknown; possible is \"field\"");
}


static v2_int_t
v2_route_name(v2_route_build_t *rb, const char *key, json_t *value)
{
    if (json_is_string(value)) {
        return V2_OK;
    }

    return v2_route_fail_value(&rb->msg, key, value, "must be a text");
}


static v2_int_t
v2_route_outbound_tag(v2_route_build_t *rb, const char *key, json_t *value)
{
    v2_int_t     rc;
    const char  *tag;

    tag = json_string_value(value);
    rc = tag != NULL ? v2_route_tag(tag, &rb->rule.way) : V2_ERROR;

    if (rc == V2_OK) {
        return V2_OK;
    }

    return v2_route_fail_value(&rb->msg, key, value,
               rc == V2_DECLINED
               ? "is not built yet; possible are \"direct\", \"block\", "
                 "\"IPv4_out\", \"IPv6_out\""
               : "is unknown; possible are \"direct\", \"block\", "
                 "\"IPv4_out\", \"IPv6_out\"");
}


static v2_int_t
v2_route_network(v2_route_build_t *rb, const char *key, json_t *value)
{
    if (v2_route_json_list(value, v2_route_network_put, rb) == V2_OK) {
        return V2_OK;
    }

    return v2_route_fail_value(&rb->msg, key, value, "is unknown; possible "
                               "are \"tcp\", \"udp\", \"tcp,udp\"");
}


static v2_int_t
v2_route_network_put(void *owner, const char *part)
{
    v2_route_build_t  *rb = owner;

    if (strcasecmp(part, "tcp") == 0) {
        rb->rule.nets |= V2_ROUTE_TCP;
        return V2_OK;
    }

    if (strcasecmp(part, "udp") == 0) {
        rb->rule.nets |= V2_ROUTE_UDP;
        return V2_OK;
    }

    return V2_DECLINED;
}


static v2_int_t
v2_route_inbound(v2_route_build_t *rb, const char *key, json_t *value)
{
    v2_int_t  rc;

    rc = v2_route_json_list(value, v2_route_inbound_put, rb);

    if (rc == V2_ERROR) {
        return v2_route_fail(&rb->msg, "out of memory");
    }

    if (rc == V2_DECLINED) {
        return v2_route_fail_value(&rb->msg, key, value,
                                   "must be a node's tag or a list of tags");
    }

    return V2_OK;
}


static v2_int_t
v2_route_inbound_put(void *owner, const char *part)
{
    v2_ref_t          *tags;
    v2_route_build_t  *rb = owner;

    tags = realloc(rb->tags, (rb->tags_n + 1) * sizeof(v2_ref_t));

    if (tags == NULL) {
        return V2_ERROR;
    }

    rb->tags = tags;
    tags[rb->tags_n++] = v2_flat_str(&rb->block, part);

    return V2_OK;
}


static v2_int_t
v2_route_ports(v2_route_build_t *rb, const char *key, json_t *value)
{
    char      text[24];
    v2_int_t  rc;

    if (json_is_integer(value)) {
        snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
                 json_integer_value(value));
        rc = v2_route_ports_put(rb, text);

    } else if (json_is_string(value)) {
        rc = v2_route_json_list(value, v2_route_ports_put, rb);

    } else {
        rc = V2_DECLINED;
    }

    if (rc == V2_ERROR) {
        return v2_route_fail(&rb->msg, "out of memory");
    }

    if (rc == V2_DECLINED) {
        return v2_route_fail_value(&rb->msg, key, value, "is not possible; "
                                   "possible are 0 to 65535, as a number or "
                                   "as a text like \"53,443,1000-2000\"");
    }

    return V2_OK;
}


static v2_int_t
v2_route_ports_put(void *owner, const char *part)
{
    v2_route_port_t    range, *ports;
    v2_route_build_t  *rb = owner;

    if (!v2_route_port_parse(&part, &range.lo)) {
        return V2_DECLINED;
    }

    range.hi = range.lo;

    if (*part == '-') {
        part++;

        if (!v2_route_port_parse(&part, &range.hi)) {
            return V2_DECLINED;
        }
    }

    if (*part != '\0' || range.hi < range.lo) {
        return V2_DECLINED;
    }

    ports = realloc(rb->ports, (rb->ports_n + 1) * sizeof(range));

    if (ports == NULL) {
        return V2_ERROR;
    }

    rb->ports = ports;
    ports[rb->ports_n++] = range;

    return V2_OK;
}


/* Digits at *text, which is moved behind them. */

static int
v2_route_port_parse(const char **text, uint16_t *port)
{
    unsigned     n;
    const char  *p;

    n = 0;

    for (p = *text; *p >= '0' && *p <= '9'; p++) {
        n = n * 10 + (unsigned) (*p - '0');

        if (n > 65535) {
            return 0;
        }
    }

    if (p == *text) {
        return 0;
    }

    *text = p;
    *port = (uint16_t) n;

    return 1;
}


static v2_int_t
v2_route_ip(v2_route_build_t *rb, const char *key, json_t *value)
{
    v2_int_t  rc;

    rc = v2_route_json_list(value, v2_route_ip_put, rb);

    if (rc == V2_DECLINED) {
        return v2_route_fail_value(&rb->msg, key, value, "must be a list of "
                                   "addresses, CIDRs and \"geoip:private\"");
    }

    return rc;
}


static v2_int_t
v2_route_ip_put(void *owner, const char *part)
{
    v2_route_build_t  *rb = owner;

    switch (v2_route_ranges_add(&rb->ip4, &rb->ip6, part)) {

    case V2_RANGE_OK:
        return V2_OK;

    case V2_RANGE_LATER:
        return v2_route_fail(&rb->msg, "\"ip\": \"%.60s\" is not built yet; "
                             "possible are addresses, CIDRs and "
                             "\"geoip:private\"", part);

    case V2_RANGE_MEMORY:
        return v2_route_fail(&rb->msg, "out of memory");

    default:
        return v2_route_fail(&rb->msg, "\"ip\": \"%.60s\" is unknown; "
                             "possible are addresses, CIDRs and "
                             "\"geoip:private\"", part);
    }
}


static int
v2_route_is_later(const char *const *list, const char *key)
{
    for ( /* void */ ; *list != NULL; list++) {
        if (strcasecmp(*list, key) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
v2_route_build_done(v2_route_build_t *rb)
{
    v2_flat_done(&rb->block);
    free(rb->tags);
    free(rb->ports);
    free(rb->ip4.data);
    free(rb->ip6.data);
}
