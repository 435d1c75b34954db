/* Lists of address ranges: from the texts of a rule to sorted pairs of lowest
 * and highest address, and the search in them. The lists live in the builder;
 * v2_route_ranges_has() runs in workers on the compiled form.
 *
 * Invariants
 *  1. Bounds are bytes in network order, so memcmp() compares them for both
 *     widths and no code is written twice.
 *  2. A CIDR inside ::ffff:0:0/96 is a list entry of IPv4: such addresses are
 *     IPv4 everywhere in the program.
 *  3. Bits behind the prefix are cleared, as the reference server does. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_route.h"

#include <arpa/inet.h>


static v2_range_e v2_route_ranges_cidr(v2_route_ranges_t *ip4,
    v2_route_ranges_t *ip6, const char *text);
static int v2_route_prefix(const char *text, unsigned max, unsigned *bits);
static v2_range_e v2_route_ranges_put(v2_route_ranges_t *r,
    const uint8_t *ip, unsigned bits);
static int v2_route_ranges_cmp(const void *a, const void *b, void *width);


static const uint8_t  v2_route_mapped[12] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
};

/* The list "private" of the geoip data that the reference server ships, and
 * the networks that v2_addr_private() refuses. */

static const char *const  v2_route_private[] = {
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8",
    "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "::/127",
    "100::/64", "64:ff9b:1::/48", "2001:db8::/32", "fc00::/7", "fe80::/10",
    "fec0::/10", "ff00::/8",
};


v2_range_e
v2_route_ranges_add(v2_route_ranges_t *ip4, v2_route_ranges_t *ip6,
    const char *text)
{
    size_t      i;
    v2_range_e  rc;

    if (text[0] == '!' || strncasecmp(text, "ext:", 4) == 0
        || strncasecmp(text, "ext-ip:", 7) == 0)
    {
        return V2_RANGE_LATER;
    }

    if (strncasecmp(text, "geoip:", 6) != 0) {
        return v2_route_ranges_cidr(ip4, ip6, text);
    }

    if (strcasecmp(text + 6, "private") != 0) {
        return text[6] == '\0' ? V2_RANGE_BAD : V2_RANGE_LATER;
    }

    for (i = 0; i < v2_nelems(v2_route_private); i++) {
        rc = v2_route_ranges_cidr(ip4, ip6, v2_route_private[i]);

        if (rc != V2_RANGE_OK) {
            return rc;
        }
    }

    return V2_RANGE_OK;
}


void
v2_route_ranges_sort(v2_route_ranges_t *r)
{
    uint8_t   *kept, *next;
    uint32_t   i, n, width;

    if (r->n == 0) {
        return;
    }

    width = r->width;
    qsort_r(r->data, r->n, width * 2, v2_route_ranges_cmp, &width);

    kept = r->data;
    n = 1;

    for (i = 1; i < r->n; i++) {
        next = r->data + (size_t) i * width * 2;

        if (memcmp(next, kept + width, width) > 0) {
            kept = r->data + (size_t) n * width * 2;
            memmove(kept, next, width * 2);
            n++;

        } else if (memcmp(next + width, kept + width, width) > 0) {
            memcpy(kept + width, next + width, width);
        }
    }

    r->n = n;
}


int
v2_route_ranges_has(const void *data, uint32_t n, uint32_t width,
    const uint8_t *ip)
{
    uint32_t        lo, hi, mid;
    const uint8_t  *base, *range;

    base = data;
    lo = 0;
    hi = n;

    /* the last range that begins at or below ip is lo - 1 */

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;

        if (memcmp(base + (size_t) mid * width * 2, ip, width) <= 0) {
            lo = mid + 1;

        } else {
            hi = mid;
        }
    }

    if (lo == 0) {
        return 0;
    }

    range = base + (size_t) (lo - 1) * width * 2;

    return memcmp(ip, range + width, width) <= 0;
}


static v2_range_e
v2_route_ranges_cidr(v2_route_ranges_t *ip4, v2_route_ranges_t *ip6,
    const char *text)
{
    char         host[INET6_ADDRSTRLEN];
    size_t       len;
    uint8_t      ip[16];
    unsigned     bits;
    const char  *slash;

    slash = strchr(text, '/');
    len = slash != NULL ? (size_t) (slash - text) : strlen(text);

    if (len >= sizeof(host)) {
        return V2_RANGE_BAD;
    }

    memcpy(host, text, len);
    host[len] = '\0';

    if (inet_pton(AF_INET, host, ip) == 1) {
        return v2_route_prefix(slash, 32, &bits)
               ? v2_route_ranges_put(ip4, ip, bits) : V2_RANGE_BAD;
    }

    if (inet_pton(AF_INET6, host, ip) != 1
        || !v2_route_prefix(slash, 128, &bits))
    {
        return V2_RANGE_BAD;
    }

    if (bits >= 96 && memcmp(ip, v2_route_mapped, 12) == 0) {
        return v2_route_ranges_put(ip4, ip + 12, bits - 96);
    }

    return v2_route_ranges_put(ip6, ip, bits);
}


/* text: "/24", or NULL for a whole address. */

static int
v2_route_prefix(const char *text, unsigned max, unsigned *bits)
{
    size_t  i, len;

    *bits = max;

    if (text == NULL) {
        return 1;
    }

    text++;
    len = strlen(text);

    if (len == 0 || len > 3) {
        return 0;
    }

    *bits = 0;

    for (i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }

        *bits = *bits * 10 + (unsigned) (text[i] - '0');
    }

    return *bits <= max;
}


static v2_range_e
v2_route_ranges_put(v2_route_ranges_t *r, const uint8_t *ip, unsigned bits)
{
    void      *data;
    uint8_t   *lo, *hi, mask;
    uint32_t   i, cap;
    unsigned   left;

    if (r->n == r->cap) {
        cap = r->cap != 0 ? r->cap * 2 : 32;
        data = realloc(r->data, (size_t) cap * r->width * 2);

        if (data == NULL) {
            return V2_RANGE_MEMORY;
        }

        r->data = data;
        r->cap = cap;
    }

    lo = r->data + (size_t) r->n * r->width * 2;
    hi = lo + r->width;

    for (i = 0; i < r->width; i++) {
        left = bits > i * 8 ? bits - i * 8 : 0;
        mask = left >= 8 ? 0xff : (uint8_t) (0xff00u >> left);

        lo[i] = ip[i] & mask;
        hi[i] = ip[i] | (uint8_t) ~mask;
    }

    r->n++;

    return V2_RANGE_OK;
}


static int
v2_route_ranges_cmp(const void *a, const void *b, void *width)
{
    return memcmp(a, b, *(const uint32_t *) width);
}
