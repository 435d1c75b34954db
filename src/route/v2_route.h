/* The compiled routes: one flat block inside an image, and what makes it.
 * Made by the builder (v2_route_compile.c, v2_route_ranges.c,
 * v2_route_default.c), read by workers (v2_route.c). Inside the route room
 * only; core sees v2_router_t.
 *
 * Invariants of a block that v2_route_check() passed
 *  1. References are offsets from the start of the block, aligned to the size
 *     of what they hold, and inside it; texts end with a zero inside them.
 *  2. Address ranges are sorted and disjoint, bytes in network order, so that
 *     memcmp() orders them and a binary search finds the only candidate. IPv4
 *     ranges have 4 bytes a bound, IPv6 ranges 16.
 *  3. A rule has at least one condition. */

#ifndef V2_ROUTE_H
#define V2_ROUTE_H

#include "v2_router.h"

#define V2_ROUTE_MAGIC      0x76327274u         /* "v2rt" */
#define V2_ROUTE_VERSION    1
#define V2_ROUTE_RULES      65536               /* more is a mistake */

#define V2_ROUTE_TCP        1                   /* bits of rule->nets */
#define V2_ROUTE_UDP        2

typedef struct {
    uint8_t     action;                 /* v2_route_e */
    uint8_t     family;                 /* v2_family_e */
    uint8_t     pad[2];
} v2_route_way_t;

typedef struct {
    uint16_t    lo, hi;                 /* both belong to it */
} v2_route_port_t;

typedef struct {
    v2_ref_t        name;               /* for log lines */
    v2_ref_t        tags;               /* v2_ref_t[]; empty: any inbound */
    v2_ref_t        ports;              /* v2_route_port_t[]; empty: any */
    v2_ref_t        ip4, ip6;           /* pairs of lowest and highest */
    v2_route_way_t  way;
    uint8_t         nets;               /* V2_ROUTE_TCP | V2_ROUTE_UDP */
    uint8_t         has_ip;             /* an ip condition is there */
    uint8_t         pad[2];
} v2_route_rule_t;

typedef struct {
    uint32_t        magic, version;
    uint32_t        size;               /* of the whole block */
    v2_route_way_t  way;                /* when no rule matches */
    v2_ref_t        name;               /* of that, for log lines */
    v2_ref_t        rules;              /* v2_route_rule_t[] */
} v2_route_block_t;

#define v2_route_at(block, ref) \
    ((const void *) ((const char *) (block) + (ref).off))

/* --- v2_route.c --- */

v2_int_t  v2_route_check(const void *block, size_t len);

/* --- v2_route_ranges.c: lists of address ranges while compiling --- */

typedef struct {
    uint8_t    *data;                   /* n pairs of width bytes a bound */
    uint32_t    n, cap;
    uint32_t    width;                  /* 4 or 16 */
} v2_route_ranges_t;

typedef enum {
    V2_RANGE_OK,
    V2_RANGE_BAD,                       /* not an address, CIDR or geoip: */
    V2_RANGE_LATER,                     /* known form, not built yet */
    V2_RANGE_MEMORY
} v2_range_e;

/* Adds an address, a CIDR or "geoip:private" to the list of its family. */
v2_range_e  v2_route_ranges_add(v2_route_ranges_t *ip4,
    v2_route_ranges_t *ip6, const char *text);
/* Sorts, and joins what overlaps. */
void        v2_route_ranges_sort(v2_route_ranges_t *r);
/* Is this address (width bytes) in one of n sorted ranges? */
int         v2_route_ranges_has(const void *data, uint32_t n, uint32_t width,
    const uint8_t *ip);

/* --- v2_route_compile.c --- */

v2_int_t  v2_route_compile(v2_flat_t *out, v2_ref_t *ref,
    const char *route, size_t route_len,
    const char *outbound, size_t outbound_len,
    const char *dns, size_t dns_len, char *why, size_t why_size);

/* A tag of an outbound that rules may name. V2_OK, V2_DECLINED: known to the
 * shipped files, not built yet; V2_ERROR: unknown. */
v2_int_t  v2_route_tag(const char *tag, v2_route_way_t *way);

#endif
