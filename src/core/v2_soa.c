/* The SOA record of a DNS message (RFC 1035 section 4.1). Foreign bytes: read
 * by v2_resolve.c in a worker, keeps no state.
 *
 * Invariants
 *  1. p <= end always holds, and nothing is read before end - p says that it
 *     is there.
 *  2. Names are passed over, not followed: no pointer can make a loop. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_soa.h"

#define V2_SOA_HEAD         12          /* bytes of a message's header */
#define V2_SOA_QUESTION     4           /* behind the name: type, class */
#define V2_SOA_RECORD       10          /* type, class, TTL, length */
#define V2_SOA_FIELDS       20          /* behind the two names of a SOA */
#define V2_SOA_TYPE         6


static int v2_soa_skip(const uint8_t **p, const uint8_t *end);
static unsigned v2_soa_u16(const uint8_t *p);
static uint32_t v2_soa_u32(const uint8_t *p);


uint32_t
v2_soa_ttl(const uint8_t *data, size_t size, uint32_t otherwise)
{
    unsigned        i, asked, all, type, len;
    uint32_t        ttl, last;
    const uint8_t  *p, *end, *rest;

    if (data == NULL || size < V2_SOA_HEAD) {
        return otherwise;
    }

    p = data + V2_SOA_HEAD;
    end = data + size;
    asked = v2_soa_u16(data + 4);
    all = asked + v2_soa_u16(data + 6) + v2_soa_u16(data + 8);

    for (i = 0; i < all && v2_soa_skip(&p, end); i++) {
        if (i < asked) {
            if (end - p < V2_SOA_QUESTION) {
                break;
            }

            p += V2_SOA_QUESTION;
            continue;
        }

        if (end - p < V2_SOA_RECORD) {
            break;
        }

        type = v2_soa_u16(p);
        ttl = v2_soa_u32(p + 4);
        len = v2_soa_u16(p + 8);
        p += V2_SOA_RECORD;

        if (end - p < (ptrdiff_t) len) {
            break;
        }

        rest = p;
        p += len;

        if (type == V2_SOA_TYPE && v2_soa_skip(&rest, p)
            && v2_soa_skip(&rest, p) && p - rest == V2_SOA_FIELDS)
        {
            last = v2_soa_u32(rest + 16);
            return v2_min(ttl, last);
        }
    }

    return otherwise;
}


/* Moves past a name; a pointer ends it (RFC 1035 section 4.1.4). */

static int
v2_soa_skip(const uint8_t **p, const uint8_t *end)
{
    unsigned  len;

    while (*p < end) {
        len = **p;

        if (len == 0) {
            (*p)++;
            return 1;
        }

        if (len >= 0xc0) {
            if (end - *p < 2) {
                return 0;
            }

            *p += 2;
            return 1;
        }

        if (end - *p < (ptrdiff_t) len + 1) {
            return 0;
        }

        *p += len + 1;
    }

    return 0;
}


static unsigned
v2_soa_u16(const uint8_t *p)
{
    return (unsigned) p[0] << 8 | p[1];
}


static uint32_t
v2_soa_u32(const uint8_t *p)
{
    return (uint32_t) v2_soa_u16(p) << 16 | v2_soa_u16(p + 2);
}
