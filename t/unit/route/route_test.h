/* What the tests of the route room share: a text compiled to a block, and
 * questions to it in one line.
 *
 *   1. compile() keeps one block; it is aligned and has its exact size, so
 *      that a sanitizer sees each byte read behind it.
 *   2. route_of() answers with one text: "direct any", "direct 46",
 *      "block", each followed by the rule. */

#ifndef ROUTE_TEST_H
#define ROUTE_TEST_H

#include "v2_config.h"
#include "v2_core.h"
#include "v2_router.h"

#include "../tap.h"

#define TCP     0
#define UDP     1

static void      *block;
static uint32_t   block_len;
static char       why[512];


__attribute__((unused)) static v2_int_t
compile_all(const char *route, const char *outbound, const char *dns)
{
    v2_int_t   rc;
    v2_ref_t   ref;
    v2_flat_t  flat;

    free(block);
    block = NULL;
    block_len = 0;
    why[0] = '\0';

    v2_flat_init(&flat);
    (void) v2_flat_add(&flat, "something before", 17);

    rc = v2_router.compile(&flat, &ref, route, route ? strlen(route) : 0,
                           outbound, outbound ? strlen(outbound) : 0,
                           dns, dns ? strlen(dns) : 0, why, sizeof(why));

    if (rc == V2_OK) {
        block_len = ref.len;
        block = malloc(ref.len);

        if (block == NULL) {
            exit(2);
        }

        memcpy(block, v2_flat_at(&flat, ref), ref.len);

    } else if (ref.len != 0) {
        fail("a failed compile leaves an empty ref");
    }

    v2_flat_done(&flat);

    return rc;
}


__attribute__((unused)) static v2_int_t
compile(const char *route)
{
    return compile_all(route, NULL, NULL);
}


/* host: a name or a literal; ip: its resolved address, or NULL. */
__attribute__((unused)) static const char *
route_of(const char *inbound, const char *host, unsigned port, int udp,
    const char *ip)
{
    v2_addr_t          a;
    v2_dest_t          d;
    v2_route_ask_t     ask;
    static char        text[256];
    v2_route_answer_t  answer;

    static const char *const  families[] = { "any", "4", "6", "46" };

    memset(&d, 0, sizeof(d));
    memset(&a, 0, sizeof(a));
    memset(&answer, 0xff, sizeof(answer));
    d.port = (uint16_t) port;
    d.udp = (uint8_t) udp;

    if (v2_addr_parse(&d.addr, host) != V2_OK) {
        snprintf(d.name, sizeof(d.name), "%s", host);
        d.name_len = (uint8_t) strlen(d.name);
    }

    if (ip != NULL && v2_addr_parse(&a, ip) != V2_OK) {
        return "bad test";
    }

    memset(&ask, 0, sizeof(ask));
    ask.inbound = inbound;
    ask.dest = &d;
    ask.ip = ip != NULL ? &a : NULL;

    v2_router.route(block, &ask, &answer);

    if (answer.action == V2_ROUTE_BLOCK) {
        snprintf(text, sizeof(text), "block, %s", answer.rule);

    } else {
        snprintf(text, sizeof(text), "direct %s%s, %s",
                 families[answer.family], answer.private_ok ? " ip" : "",
                 answer.rule);
    }

    return text;
}

#endif
