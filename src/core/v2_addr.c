/* Addresses and destinations: parsing, printing, comparing, and which of them
 * no client may reach by default. Called everywhere; opens no socket, keeps no
 * state, allocates nothing.
 *
 * Invariants
 *  1. A v4-mapped IPv6 address never leaves this file as IPv6: the kernel
 *     would dial the IPv4 address, so rules and limits must see that one.
 *  2. An IPv4 address has zeroes behind its four bytes.
 *  3. Literals are read by inet_pton only: "127.1", "0x7f.1" and "010.0.0.1"
 *     are names, never addresses. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_addr.h"

#include <arpa/inet.h>


typedef struct {
    uint32_t    net;                    /* host order */
    uint8_t     bits;
} v2_addr_net4_t;

typedef struct {
    uint8_t     net[16];
    uint8_t     bits;
} v2_addr_net6_t;


static int v2_addr_private4(uint32_t ip);
static int v2_addr_in6(const uint8_t *ip, const v2_addr_net6_t *n);
static void v2_addr_set4(v2_addr_t *a, const uint8_t *ip);
static void v2_addr_set6(v2_addr_t *a, const uint8_t *ip);


/* The special-purpose registries (RFC 6890) as far as they are not global;
 * 169.254.169.254, the metadata service of most clouds, is link-local. */

static const v2_addr_net4_t  v2_addr_private4_nets[] = {
    { 0x00000000, 8 },                  /* this network */
    { 0x0a000000, 8 },
    { 0x64400000, 10 },                 /* shared, RFC 6598 */
    { 0x7f000000, 8 },
    { 0xa9fe0000, 16 },
    { 0xac100000, 12 },
    { 0xc0000000, 24 },                 /* protocol assignments */
    { 0xc0a80000, 16 },
    { 0xc6120000, 15 },                 /* benchmarks, RFC 2544 */
    { 0xe0000000, 4 },                  /* multicast */
    { 0xf0000000, 4 },                  /* reserved and broadcast */
};

static const v2_addr_net6_t  v2_addr_private6_nets[] = {
    { { 0 }, 127 },                     /* unspecified and loopback */
    { { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48 },     /* RFC 8215 */
    { { 0x01, 0x00 }, 64 },             /* discard, RFC 6666 */
    { { 0xfc, 0x00 }, 7 },              /* unique local, fd00:ec2::254 */
    { { 0xfe, 0x80 }, 10 },             /* link-local */
    { { 0xfe, 0xc0 }, 10 },             /* site-local, RFC 3879 */
    { { 0xff, 0x00 }, 8 },              /* multicast */
};

/* Prefixes with an IPv4 address behind them. */

static const v2_addr_net6_t  v2_addr_mapped = {
    { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 96
};
static const v2_addr_net6_t  v2_addr_compatible = { { 0 }, 96 };
static const v2_addr_net6_t  v2_addr_nat64_net = {
    { 0x00, 0x64, 0xff, 0x9b }, 96
};
static const v2_addr_net6_t  v2_addr_6to4 = { { 0x20, 0x02 }, 16 };


socklen_t
v2_addr_to_sa(const v2_addr_t *a, struct sockaddr_storage *ss)
{
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    memset(ss, 0, sizeof(*ss));

    if (a->family == 4) {
        sin = (struct sockaddr_in *) ss;
        sin->sin_family = AF_INET;
        sin->sin_port = htons(a->port);
        memcpy(&sin->sin_addr, a->ip, 4);
        return sizeof(*sin);
    }

    v2_assert(a->family == 6);

    sin6 = (struct sockaddr_in6 *) ss;
    sin6->sin6_family = AF_INET6;
    sin6->sin6_port = htons(a->port);
    memcpy(&sin6->sin6_addr, a->ip, 16);
    return sizeof(*sin6);
}


void
v2_addr_from_sa(v2_addr_t *a, const struct sockaddr *sa)
{
    struct sockaddr_in   sin;
    struct sockaddr_in6  sin6;

    memset(a, 0, sizeof(*a));

    if (sa->sa_family == AF_INET) {
        memcpy(&sin, sa, sizeof(sin));
        v2_addr_set4(a, (const uint8_t *) &sin.sin_addr);
        a->port = ntohs(sin.sin_port);

    } else if (sa->sa_family == AF_INET6) {
        memcpy(&sin6, sa, sizeof(sin6));
        v2_addr_set6(a, (const uint8_t *) &sin6.sin6_addr);
        a->port = ntohs(sin6.sin6_port);
    }
}


void
v2_addr_set(v2_addr_t *a, const void *ip, size_t len)
{
    v2_assert(len == 4 || len == 16);

    if (len == 4) {
        v2_addr_set4(a, ip);
        return;
    }

    v2_addr_set6(a, ip);
}


v2_int_t
v2_addr_parse(v2_addr_t *a, const char *text)
{
    char     copy[INET6_ADDRSTRLEN];
    size_t   len;
    uint8_t  ip[16];

    len = strlen(text);

    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }

    if (len >= sizeof(copy)) {
        return V2_ERROR;
    }

    memcpy(copy, text, len);
    copy[len] = '\0';

    if (strchr(copy, ':') != NULL) {
        if (inet_pton(AF_INET6, copy, ip) != 1) {
            return V2_ERROR;
        }

        v2_addr_set6(a, ip);
        return V2_OK;
    }

    if (inet_pton(AF_INET, copy, ip) != 1) {
        return V2_ERROR;
    }

    v2_addr_set4(a, ip);
    return V2_OK;
}


char *
v2_addr_print(const v2_addr_t *a, char *out, int without_port)
{
    char  ip[INET6_ADDRSTRLEN];

    if (a->family == 0) {
        snprintf(out, V2_ADDR_TEXT, "unset");
        return out;
    }

    if (inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, ip, sizeof(ip))
        == NULL)
    {
        ip[0] = '\0';
    }

    if (without_port) {
        snprintf(out, V2_ADDR_TEXT, "%s", ip);

    } else if (a->family == 4) {
        snprintf(out, V2_ADDR_TEXT, "%s:%u", ip, (unsigned) a->port);

    } else {
        snprintf(out, V2_ADDR_TEXT, "[%s]:%u", ip, (unsigned) a->port);
    }

    return out;
}


int
v2_addr_eq(const v2_addr_t *a, const v2_addr_t *b)
{
    return a->port == b->port && v2_addr_same_ip(a, b);
}


int
v2_addr_same_ip(const v2_addr_t *a, const v2_addr_t *b)
{
    return a->family == b->family
           && memcmp(a->ip, b->ip, a->family == 6 ? 16 : 4) == 0;
}


int
v2_addr_nat64(const v2_addr_t *a, v2_addr_t *v4)
{
    if (a->family != 6 || !v2_addr_in6(a->ip, &v2_addr_nat64_net)) {
        return 0;
    }

    memset(v4, 0, sizeof(*v4));
    v2_addr_set4(v4, a->ip + 12);
    v4->port = a->port;

    return 1;
}


int
v2_addr_private(const v2_addr_t *a)
{
    size_t  i;

    if (a->family == 4) {
        return v2_addr_private4(v2_addr_host4(a->ip));
    }

    if (a->family != 6) {
        return 1;
    }

    if (v2_addr_in6(a->ip, &v2_addr_mapped)
        || v2_addr_in6(a->ip, &v2_addr_compatible)
        || v2_addr_in6(a->ip, &v2_addr_nat64_net))
    {
        return v2_addr_private4(v2_addr_host4(a->ip + 12));
    }

    if (v2_addr_in6(a->ip, &v2_addr_6to4)) {
        return v2_addr_private4(v2_addr_host4(a->ip + 2));
    }

    for (i = 0; i < v2_nelems(v2_addr_private6_nets); i++) {
        if (v2_addr_in6(a->ip, &v2_addr_private6_nets[i])) {
            return 1;
        }
    }

    return 0;
}


char *
v2_dest_print(const v2_dest_t *d, char *out)
{
    v2_addr_t  a;

    if (d->addr.family != 0) {
        a = d->addr;
        a.port = d->port;
        return v2_addr_print(&a, out, 0);
    }

    snprintf(out, V2_NAME_MAX + 8, "%s:%u", d->name, (unsigned) d->port);

    return out;
}


v2_int_t
v2_dest_set_name(v2_dest_t *d, const char *name, size_t len)
{
    char       c, text[V2_NAME_MAX + 1];
    size_t     i;
    v2_addr_t  a;

    if (len == 0 || len > V2_NAME_MAX || memchr(name, '\0', len) != NULL) {
        return V2_ERROR;
    }

    if (name[0] == '[' || (name[0] >= '0' && name[0] <= '9')) {
        memcpy(text, name, len);
        text[len] = '\0';
        memset(&a, 0, sizeof(a));

        if (v2_addr_parse(&a, text) == V2_OK) {
            a.port = d->port;
            d->addr = a;
            d->name_len = 0;
            d->name[0] = '\0';
            return V2_OK;
        }
    }

    for (i = 0; i < len; i++) {
        c = name[i];

        if (c >= 'A' && c <= 'Z') {
            c = (char) (c + ('a' - 'A'));
        }

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'
              || c == '.' || c == '_'))
        {
            return V2_ERROR;
        }

        text[i] = c;
    }

    memcpy(d->name, text, len);
    d->name[len] = '\0';
    d->name_len = (uint8_t) len;
    memset(&d->addr, 0, sizeof(d->addr));

    return V2_OK;
}


static int
v2_addr_private4(uint32_t ip)
{
    size_t    i;
    uint32_t  mask;

    for (i = 0; i < v2_nelems(v2_addr_private4_nets); i++) {
        mask = UINT32_MAX << (32 - v2_addr_private4_nets[i].bits);

        if ((ip & mask) == v2_addr_private4_nets[i].net) {
            return 1;
        }
    }

    return 0;
}


static int
v2_addr_in6(const uint8_t *ip, const v2_addr_net6_t *n)
{
    unsigned  whole, rest;

    whole = n->bits / 8;
    rest = n->bits % 8;

    if (memcmp(ip, n->net, whole) != 0) {
        return 0;
    }

    return rest == 0 || ((ip[whole] ^ n->net[whole]) >> (8 - rest)) == 0;
}


static void
v2_addr_set4(v2_addr_t *a, const uint8_t *ip)
{
    a->family = 4;
    memset(a->ip, 0, sizeof(a->ip));
    memcpy(a->ip, ip, 4);
}


static void
v2_addr_set6(v2_addr_t *a, const uint8_t *ip)
{
    if (v2_addr_in6(ip, &v2_addr_mapped)) {
        v2_addr_set4(a, ip + 12);
        return;
    }

    a->family = 6;
    memcpy(a->ip, ip, 16);
}
