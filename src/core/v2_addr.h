/* Addresses and destinations: an IP address with a port, and what a client
 * asked for (an address or a name). Bytes part of core: no sockets opened. */

#ifndef V2_ADDR_H
#define V2_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#define V2_ADDR_TEXT        64          /* "[v6 address]:port" and a zero */
#define V2_NAME_MAX         255

struct v2_addr_s {
    uint8_t      family;                /* 0 unset, 4, or 6 */
    uint8_t      scope_pad;
    uint16_t     port;                  /* host order */
    uint8_t      ip[16];                /* network order; v4 in ip[0..3] */
};

struct v2_dest_s {
    v2_addr_t    addr;                  /* family 0: resolve `name` */
    uint8_t      udp;                   /* 1: datagrams */
    uint8_t      name_len;
    uint16_t     port;                  /* host order, for both forms */
    char         name[V2_NAME_MAX + 1]; /* zero-terminated, lower case */
};

/* Sockets form and back. v2_addr_to_sa fills `ss` and returns its length;
 * v2_addr_from_sa turns a v4-mapped IPv6 address into IPv4. */
socklen_t v2_addr_to_sa(const v2_addr_t *a, struct sockaddr_storage *ss);
void v2_addr_from_sa(v2_addr_t *a, const struct sockaddr *sa);

/* Sets family and address from 4 or 16 bytes in network order; 16 bytes of a
 * v4-mapped address become IPv4. The port is left alone. */
void v2_addr_set(v2_addr_t *a, const void *ip, size_t len);

/* Parses an IPv4 or IPv6 literal (no port, brackets allowed). The port is
 * left alone; v4-mapped becomes IPv4. V2_OK, or V2_ERROR with a unchanged. */
v2_int_t v2_addr_parse(v2_addr_t *a, const char *text);

/* Writes "1.2.3.4:80" or "[::1]:80" (without_port: the address alone). `out`
 * holds V2_ADDR_TEXT bytes. Returns out. */
char *v2_addr_print(const v2_addr_t *a, char *out, int without_port);

int v2_addr_eq(const v2_addr_t *a, const v2_addr_t *b);      /* with port */
int v2_addr_same_ip(const v2_addr_t *a, const v2_addr_t *b);

/* 1 for addresses no client may reach unless a rule allows it: private,
 * loopback, link-local, unspecified, multicast, shared (100.64/10),
 * benchmark, metadata, also in v4-mapped, NAT64 and 6to4 form; and 1 for an
 * address that is not set. */
int v2_addr_private(const v2_addr_t *a);

/* 1 and the IPv4 address (same port) if `a` is one behind the well-known
 * NAT64 prefix 64:ff9b::/96; 0 otherwise, v4 untouched. */
int v2_addr_nat64(const v2_addr_t *a, v2_addr_t *v4);

static inline uint32_t
v2_addr_host4(const uint8_t *ip)        /* 4 bytes, host order */
{
    return (uint32_t) ip[0] << 24 | (uint32_t) ip[1] << 16
           | (uint32_t) ip[2] << 8 | ip[3];
}

/* "host:port" for log lines; `out` holds V2_NAME_MAX + 8 bytes. */
char *v2_dest_print(const v2_dest_t *d, char *out);

/* Sets a destination from a name as a client sent it: allowed characters
 * 0-9 A-Z a-z - . _ only, 1..255 bytes, lower-cased; a literal becomes an
 * address with d->port as its port, as the reference server reads it: when
 * the first character is a digit or '['. d->port and d->udp are left alone;
 * addr and name are both set. V2_OK, or V2_ERROR with d unchanged. */
v2_int_t v2_dest_set_name(v2_dest_t *d, const char *name, size_t len);

#endif
