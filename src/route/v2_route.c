/* Routes in a worker: which rule a flow meets first, and whether its address
 * may be dialled at all. Reads a compiled block (v2_route.h), allocates
 * nothing, keeps no state.
 *
 * Invariants
 *  1. First match wins; what stands behind a match is never looked at.
 *  2. A private address passes only by a match that has an ip condition: such
 *     a rule was written for that address. A catch-all never lets it pass,
 *     and neither does the default outbound.
 *  3. An address behind the NAT64 prefix meets the rules of both its forms:
 *     it is one host, and a block rule must not be passed by another
 *     spelling of it. v4-mapped addresses are IPv4 since v2_addr.c. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_route.h"


static void v2_route_find(const void *block, const v2_route_ask_t *ask,
    v2_route_answer_t *answer);
static int v2_route_match(const v2_route_block_t *b,
    const v2_route_rule_t *rule, const v2_route_ask_t *ask,
    const v2_addr_t *ip);
static int v2_route_match_ip(const v2_route_block_t *b,
    const v2_route_rule_t *rule, const v2_addr_t *ip);
static void v2_route_limit(v2_route_answer_t *answer, const v2_addr_t *ip);
static v2_int_t v2_route_check_rule(const v2_route_block_t *b,
    const v2_route_rule_t *rule);
static v2_int_t v2_route_check_ref(const v2_route_block_t *b, v2_ref_t ref,
    size_t item);
static v2_int_t v2_route_check_text(const v2_route_block_t *b, v2_ref_t ref);
static v2_int_t v2_route_check_ranges(const v2_route_block_t *b, v2_ref_t ref,
    size_t width);
static v2_int_t v2_route_check_way(const v2_route_way_t *way);


static_assert(sizeof(v2_route_rule_t) == 48, "no holes in a rule");
static_assert(sizeof(v2_route_block_t) == 32, "no holes in a block");
static_assert(sizeof(v2_route_port_t) == 4, "no holes in a port range");


const v2_router_t  v2_router = {
    .compile = v2_route_compile,
    .check = v2_route_check,
    .route = v2_route_find,
};


v2_int_t
v2_route_check(const void *block, size_t len)
{
    uint32_t                 i, n;
    const v2_route_rule_t   *rules;
    const v2_route_block_t  *b;

    b = block;

    if (len < sizeof(*b) || len > UINT32_MAX || (uintptr_t) block % 8 != 0
        || b->magic != V2_ROUTE_MAGIC || b->version != V2_ROUTE_VERSION
        || b->size != len)
    {
        return V2_ERROR;
    }

    if (v2_route_check_way(&b->way) != V2_OK
        || v2_route_check_text(b, b->name) != V2_OK
        || v2_route_check_ref(b, b->rules, sizeof(v2_route_rule_t)) != V2_OK)
    {
        return V2_ERROR;
    }

    rules = v2_route_at(b, b->rules);
    n = b->rules.len / sizeof(v2_route_rule_t);

    for (i = 0; i < n; i++) {
        if (v2_route_check_rule(b, &rules[i]) != V2_OK) {
            return V2_ERROR;
        }
    }

    return V2_OK;
}


static void
v2_route_find(const void *block, const v2_route_ask_t *ask,
    v2_route_answer_t *answer)
{
    uint32_t                 i, n;
    const v2_addr_t         *ip;
    const v2_route_rule_t   *rules, *rule;
    const v2_route_block_t  *b;

    b = block;
    ip = ask->ip;

    if (ip == NULL && ask->dest->addr.family != 0) {
        ip = &ask->dest->addr;
    }

    answer->action = b->way.action;
    answer->family = b->way.family;
    answer->private_ok = 0;
    answer->rule = v2_route_at(b, b->name);

    rules = v2_route_at(b, b->rules);
    n = b->rules.len / sizeof(v2_route_rule_t);

    for (i = 0; i < n; i++) {
        rule = &rules[i];

        if (v2_route_match(b, rule, ask, ip)) {
            answer->action = rule->way.action;
            answer->family = rule->way.family;
            answer->private_ok = rule->has_ip;
            answer->rule = v2_route_at(b, rule->name);
            break;
        }
    }

    if (ip != NULL && answer->action == V2_ROUTE_DIRECT) {
        v2_route_limit(answer, ip);
    }
}


static int
v2_route_match(const v2_route_block_t *b, const v2_route_rule_t *rule,
    const v2_route_ask_t *ask, const v2_addr_t *ip)
{
    uint32_t                i, n;
    const v2_ref_t         *tags;
    const v2_route_port_t  *ports;

    if ((rule->nets & (ask->dest->udp ? V2_ROUTE_UDP : V2_ROUTE_TCP)) == 0) {
        return 0;
    }

    if (rule->ports.len != 0) {
        ports = v2_route_at(b, rule->ports);
        n = rule->ports.len / sizeof(v2_route_port_t);

        for (i = 0; i < n; i++) {
            if (ask->dest->port >= ports[i].lo
                && ask->dest->port <= ports[i].hi)
            {
                break;
            }
        }

        if (i == n) {
            return 0;
        }
    }

    if (rule->has_ip && (ip == NULL || !v2_route_match_ip(b, rule, ip))) {
        return 0;
    }

    if (rule->tags.len != 0) {
        tags = v2_route_at(b, rule->tags);
        n = rule->tags.len / sizeof(v2_ref_t);

        for (i = 0; i < n; i++) {
            if (strcmp(v2_route_at(b, tags[i]), ask->inbound) == 0) {
                return 1;
            }
        }

        return 0;
    }

    return 1;
}


static int
v2_route_match_ip(const v2_route_block_t *b, const v2_route_rule_t *rule,
    const v2_addr_t *ip)
{
    v2_addr_t  v4;

    if (ip->family == 4) {
        return v2_route_ranges_has(v2_route_at(b, rule->ip4),
                                   rule->ip4.len / 8, 4, ip->ip);
    }

    if (v2_route_ranges_has(v2_route_at(b, rule->ip6), rule->ip6.len / 32, 16,
                            ip->ip))
    {
        return 1;
    }

    return v2_addr_nat64(ip, &v4)
           && v2_route_ranges_has(v2_route_at(b, rule->ip4),
                                  rule->ip4.len / 8, 4, v4.ip);
}


/* What a freedom outbound does not dial. */

static void
v2_route_limit(v2_route_answer_t *answer, const v2_addr_t *ip)
{
    if (!answer->private_ok && v2_addr_private(ip)) {
        answer->action = V2_ROUTE_BLOCK;
        answer->rule = "private address";
        return;
    }

    if (answer->family == V2_FAMILY_4 && ip->family != 4) {
        answer->action = V2_ROUTE_BLOCK;
        answer->rule = "outbound is for IPv4 only";
        return;
    }

    if (answer->family == V2_FAMILY_6 && ip->family != 6) {
        answer->action = V2_ROUTE_BLOCK;
        answer->rule = "outbound is for IPv6 only";
    }
}


static v2_int_t
v2_route_check_rule(const v2_route_block_t *b, const v2_route_rule_t *rule)
{
    uint32_t         i, n;
    const v2_ref_t  *tags;

    if (v2_route_check_way(&rule->way) != V2_OK
        || v2_route_check_text(b, rule->name) != V2_OK
        || v2_route_check_ref(b, rule->tags, sizeof(v2_ref_t)) != V2_OK
        || v2_route_check_ref(b, rule->ports, sizeof(v2_route_port_t))
           != V2_OK
        || v2_route_check_ranges(b, rule->ip4, 4) != V2_OK
        || v2_route_check_ranges(b, rule->ip6, 16) != V2_OK)
    {
        return V2_ERROR;
    }

    if (rule->nets == 0 || rule->nets > (V2_ROUTE_TCP | V2_ROUTE_UDP)
        || rule->has_ip > 1
        || rule->has_ip != (rule->ip4.len != 0 || rule->ip6.len != 0))
    {
        return V2_ERROR;
    }

    tags = v2_route_at(b, rule->tags);
    n = rule->tags.len / sizeof(v2_ref_t);

    for (i = 0; i < n; i++) {
        if (v2_route_check_text(b, tags[i]) != V2_OK) {
            return V2_ERROR;
        }
    }

    return V2_OK;
}


static v2_int_t
v2_route_check_ref(const v2_route_block_t *b, v2_ref_t ref, size_t item)
{
    if (ref.off % 4 != 0 || ref.off > b->size || ref.len > b->size - ref.off
        || ref.len % item != 0)
    {
        return V2_ERROR;
    }

    return V2_OK;
}


static v2_int_t
v2_route_check_text(const v2_route_block_t *b, v2_ref_t ref)
{
    const char  *text;

    if (v2_route_check_ref(b, ref, 1) != V2_OK || ref.len == 0) {
        return V2_ERROR;
    }

    text = v2_route_at(b, ref);

    return memchr(text, '\0', ref.len) == text + ref.len - 1 ? V2_OK
                                                             : V2_ERROR;
}


static v2_int_t
v2_route_check_ranges(const v2_route_block_t *b, v2_ref_t ref, size_t width)
{
    uint32_t        i, n;
    const uint8_t  *lo;

    if (v2_route_check_ref(b, ref, width * 2) != V2_OK) {
        return V2_ERROR;
    }

    lo = v2_route_at(b, ref);
    n = (uint32_t) (ref.len / (width * 2));

    for (i = 0; i < n; i++, lo += width * 2) {
        if (memcmp(lo, lo + width, width) > 0
            || (i > 0 && memcmp(lo - width, lo, width) >= 0))
        {
            return V2_ERROR;
        }
    }

    return V2_OK;
}


static v2_int_t
v2_route_check_way(const v2_route_way_t *way)
{
    if (way->action > V2_ROUTE_BLOCK || way->family > V2_FAMILY_46) {
        return V2_ERROR;
    }

    return V2_OK;
}
