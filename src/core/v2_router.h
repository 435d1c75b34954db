/* What core asks the route room; the table is filled by src/route.
 *
 * A session asks at most twice a flow (and for UDP once per new destination):
 *
 *   dest        ask->ip   rules with an ip condition      the answer is
 *   an address  NULL      compared with dest->addr        final
 *   a name      NULL      passed over                     BLOCK: final;
 *                                                         DIRECT: resolve for
 *                                                         `family`, ask again
 *   a name      set       compared with *ip               final for this *ip
 *
 * The second call is made for each address before it is dialled. BLOCK then
 * means: not this address; a flow none of whose addresses may be dialled is
 * refused with the rule of the last answer. */

#ifndef V2_ROUTER_H
#define V2_ROUTER_H

#include "v2_addr.h"
#include "v2_flat.h"

typedef enum {
    V2_ROUTE_DIRECT,            /* freedom */
    V2_ROUTE_BLOCK              /* blackhole */
} v2_route_e;

typedef enum {
    V2_FAMILY_ANY,
    V2_FAMILY_4,
    V2_FAMILY_6,
    V2_FAMILY_46                /* IPv4; IPv6 where there is no IPv4 */
} v2_family_e;

typedef struct {
    const char       *inbound;      /* the node's tag */
    uint32_t          node_id;
    const v2_dest_t  *dest;         /* udp flag and port are conditions */
    const v2_addr_t  *ip;           /* resolved address, NULL before that; its
                                     * port is not looked at */
} v2_route_ask_t;

typedef struct {
    v2_route_e        action;
    v2_family_e       family;       /* for DIRECT: allowed family */
    unsigned          private_ok:1; /* a rule with an ip condition covers it */
    const char       *rule;         /* ruleTag, "rule N" or why, for the log
                                     * line; lives as long as the block */
} v2_route_answer_t;

struct v2_router_s {
    /* Builder: compiles the text of route.json (len 0: no file) into `out`.
     * outbound/dns: texts of those files, refused by name when they are not
     * the shipped default. V2_ERROR: one line in why, which begins with the
     * config key of the file, and *ref is empty. */
    v2_int_t   (*compile)(v2_flat_t *out, v2_ref_t *ref,
                    const char *route, size_t route_len,
                    const char *outbound, size_t outbound_len,
                    const char *dns, size_t dns_len,
                    char *why, size_t why_size);
    /* Checks a compiled block of an image before first use (offsets); the
     * block is aligned to 8 bytes. V2_OK or V2_ERROR. */
    v2_int_t   (*check)(const void *block, size_t len);
    /* Worker: first rule that matches, else the default outbound; see the
     * table above. Private destinations are refused here (action BLOCK, rule
     * "private address") unless an ip rule allows them, and so are addresses
     * that are not of the outbound's family. Allocates nothing. */
    void       (*route)(const void *block, const v2_route_ask_t *ask,
                    v2_route_answer_t *answer);
};

extern const v2_router_t v2_router;     /* src/route/v2_route.c */

#endif
