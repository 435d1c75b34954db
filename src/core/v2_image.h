/* An image: one immutable configuration, flat, in a sealed memfd. Compiled by
 * the builder from the config, the node specs, and the rule and certificate
 * files that the master opened; mapped read-only by every worker. */

#ifndef V2_IMAGE_H
#define V2_IMAGE_H

#include "v2_addr.h"
#include "v2_flat.h"

#define V2_IMAGE_MAGIC      0x7632696du
#define V2_IMAGE_VERSION    1

struct v2_inode_s {
    uint32_t    node;               /* slot in shm */
    uint32_t    node_id;            /* the panel's number, for logs */
    v2_ref_t    tag;                /* zero-terminated texts */
    char        protocol[16], network[16], flow[32];
    uint8_t     security;           /* V2_SEC_... */
    uint8_t     tcp, udp;
    uint8_t     reject_unknown_sni;
    uint8_t     sniff;
    uint8_t     pad[3];
    v2_addr_t   listen;             /* with port */
    v2_addr_t   send_ip;            /* family 0: any */
    v2_ref_t    server_name;
    v2_ref_t    cert_pem, key_pem;  /* empty without TLS */
    v2_ref_t    alpn;               /* wire form: length-prefixed names */
};

struct v2_image_s {
    uint32_t    magic, version;
    uint32_t    size, serial;       /* serial grows with each image */
    uint64_t    checksum;           /* v2_hash64 of all behind this field */
    uint32_t    handshake_ms, idle_ms, uplink_only_ms, downlink_only_ms;
    uint32_t    buffer_bytes;
    uint32_t    nodes_n;
    v2_ref_t    nodes;              /* v2_inode_t[nodes_n] */
    v2_ref_t    route;              /* of the route room, opaque to core */
};

#define v2_image_at(im, ref) \
    ((const void *) ((const char *) (im) + (ref).off))
#define v2_image_nodes(im) \
    ((const v2_inode_t *) v2_image_at(im, (im)->nodes))

/* Maps and checks (magic, version, size, checksum, every ref). NULL: logged. */
const v2_image_t  *v2_image_open(int fd);
void               v2_image_close(const v2_image_t *im);
/* Checks bytes in memory. V2_OK, or V2_ERROR with static text in *why. */
v2_int_t           v2_image_check(const void *data, size_t len,
    const char **why);

#endif
