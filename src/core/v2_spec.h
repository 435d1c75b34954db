/* A node spec: one panel's answer for one node, validated, flat, in a sealed
 * memfd. Written by the panel process (v2_spec_write), read by master and
 * builder. The master reads the fixed struct and range-checks it, no more.
 * Users are not in it: they are in shared memory. */

#ifndef V2_SPEC_H
#define V2_SPEC_H

#define V2_SPEC_MAGIC       0x76327370u         /* "v2sp" */
#define V2_SPEC_VERSION     1
#define V2_SPEC_MAX         (4u << 20)

enum { V2_SEC_NONE, V2_SEC_TLS, V2_SEC_REALITY };

struct v2_spec_s {
    uint32_t    magic, version;
    uint32_t    size;                   /* of the whole file */
    uint32_t    node;                   /* slot in shm->nodes */
    uint64_t    checksum;               /* v2_hash64 of all behind this field */
    uint32_t    node_id;                /* the panel's number */
    uint16_t    port;
    uint8_t     security;               /* V2_SEC_... */
    uint8_t     tcp, udp;               /* listen so */
    uint8_t     pad[3];
    char        protocol[16];           /* a codec's name: "vless" */
    char        network[16];            /* "tcp", "ws" ... */
    char        flow[32];
    char        server_name[256];       /* lower case */
    uint32_t    push_s, pull_s;         /* intervals, 5..3600 */
    uint32_t    conf_index;             /* place in conf->nodes: a hint */
    uint32_t    pad2;
    uint64_t    identity;               /* v2_node_identity of the node */
};

/* Maps and checks a spec (magic, version, size, checksum, ranges, zero bytes
 * at the ends of texts). The result points into a private read-only mapping of
 * spec->size bytes; v2_spec_close unmaps it. NULL: logged. */
const v2_spec_t  *v2_spec_open(int fd);
void              v2_spec_close(const v2_spec_t *spec);
/* Checks bytes in memory; `len` is what there is. V2_OK or V2_ERROR with a
 * static text in *why. The fuzz target. */
v2_int_t          v2_spec_check(const void *data, size_t len,
    const char **why);
/* Seals magic, version, size and checksum and puts it into a memfd that can
 * neither grow, shrink nor be written. The fd, or -1 (logged). */
int               v2_spec_write(v2_spec_t *spec);

#endif
