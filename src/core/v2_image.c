/* Images: mapping and checking. Every worker maps the image that the builder
 * made; the builder is unprivileged and reads files of the admin's, so that a
 * worker checks all of it once, before its first use, and then follows refs
 * without looking again.
 *
 * After v2_image_check() returned V2_OK
 *  1. each ref lies within the image and behind its head, or is empty;
 *  2. the node table is aligned and complete, its slots are in range and
 *     differ from each other;
 *  3. texts (tag, server name) end in a zero that their ref covers, or are
 *     empty;
 *  4. an ALPN list is a run of whole, non-empty names.
 * The block of the route room is checked by that room. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_image.h"

#include "v2_log.h"
#include "v2_shm.h"
#include "v2_spec.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define V2_IMAGE_BODY       (offsetof(v2_image_t, checksum) + 8)
#define V2_IMAGE_MAX        (1u << 30)
#define V2_IMAGE_SEALS      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

_Static_assert(sizeof(v2_image_t) % 8 == 0, "refs behind it are aligned");
_Static_assert(sizeof(v2_inode_t) % 4 == 0, "nodes stand in an array");

static const char *v2_image_check_head(const v2_image_t *im, size_t len);
static const char *v2_image_check_nodes(const v2_image_t *im);
static const char *v2_image_check_node(const v2_image_t *im,
    const v2_inode_t *node);
static const char *v2_image_check_names(const v2_inode_t *node);
static int v2_image_ref(const v2_image_t *im, v2_ref_t ref);
static int v2_image_text(const v2_image_t *im, v2_ref_t ref);
static int v2_image_alpn(const v2_image_t *im, v2_ref_t ref);


const v2_image_t *
v2_image_open(int fd)
{
    int           seals;
    void         *p;
    struct stat   st;
    const char   *why;

    seals = fcntl(fd, F_GET_SEALS);

    if (seals == -1 || (seals & V2_IMAGE_SEALS) != V2_IMAGE_SEALS) {
        v2_log(V2_LOG_ERR, NULL, 0, "image refused: it is not sealed");
        return NULL;
    }

    if (fstat(fd, &st) == -1) {
        v2_log(V2_LOG_ERR, NULL, errno, "fstat() of an image failed");
        return NULL;
    }

    if (st.st_size < (off_t) sizeof(v2_image_t)
        || st.st_size > (off_t) V2_IMAGE_MAX)
    {
        v2_log(V2_LOG_ERR, NULL, 0, "image refused: it has %lld bytes",
               (long long) st.st_size);
        return NULL;
    }

    p = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

    if (p == MAP_FAILED) {
        v2_log(V2_LOG_ERR, NULL, errno, "mmap() of an image failed");
        return NULL;
    }

    if (v2_image_check(p, (size_t) st.st_size, &why) != V2_OK) {
        v2_log(V2_LOG_ERR, NULL, 0, "image refused: %s", why);
        (void) munmap(p, (size_t) st.st_size);
        return NULL;
    }

    return p;
}


void
v2_image_close(const v2_image_t *im)
{
    if (im != NULL) {
        (void) munmap((void *) (uintptr_t) im, im->size);
    }
}


v2_int_t
v2_image_check(const void *data, size_t len, const char **why)
{
    const v2_image_t  *im = data;

    *why = v2_image_check_head(im, len);

    if (*why == NULL) {
        *why = v2_image_check_nodes(im);
    }

    return *why == NULL ? V2_OK : V2_ERROR;
}


/* NULL, or what is wrong; so do all checks below. */
static const char *
v2_image_check_head(const v2_image_t *im, size_t len)
{
    if ((uintptr_t) im % 8 != 0) {
        return "it is not aligned";
    }

    if (len < sizeof(v2_image_t) || len > V2_IMAGE_MAX) {
        return "its size is out of range";
    }

    if (im->magic != V2_IMAGE_MAGIC || im->version != V2_IMAGE_VERSION) {
        return "it is no image of this version";
    }

    if (im->size != len) {
        return "its size does not match";
    }

    if (im->checksum
        != v2_hash64((const char *) im + V2_IMAGE_BODY, len - V2_IMAGE_BODY,
                     0))
    {
        return "its checksum does not match";
    }

    return v2_image_ref(im, im->route) ? NULL : "its route block is outside";
}


static const char *
v2_image_check_nodes(const v2_image_t *im)
{
    uint8_t            seen[V2_SHM_NODES];
    uint32_t           i;
    const char        *why;
    const v2_inode_t  *nodes;

    if (im->nodes_n > V2_SHM_NODES) {
        return "it has too many nodes";
    }

    if (!v2_image_ref(im, im->nodes) || im->nodes.off % 8 != 0
        || im->nodes.len != im->nodes_n * sizeof(v2_inode_t))
    {
        return "its node table is outside or cut off";
    }

    memset(seen, 0, sizeof(seen));
    nodes = v2_image_nodes(im);

    for (i = 0; i < im->nodes_n; i++) {

        if (nodes[i].node >= V2_SHM_NODES || seen[nodes[i].node]) {
            return "a node slot is out of range or there twice";
        }

        seen[nodes[i].node] = 1;

        why = v2_image_check_node(im, &nodes[i]);

        if (why != NULL) {
            return why;
        }
    }

    return NULL;
}


static const char *
v2_image_check_node(const v2_image_t *im, const v2_inode_t *node)
{
    const char  *why;

    why = v2_image_check_names(node);

    if (why != NULL) {
        return why;
    }

    if (node->security > V2_SEC_REALITY || node->tcp > 1 || node->udp > 1
        || node->reject_unknown_sni > 1 || node->sniff > 1)
    {
        return "an option of a node is out of range";
    }

    if ((node->listen.family != 4 && node->listen.family != 6)
        || node->listen.port == 0)
    {
        return "a node has no address to listen on";
    }

    if (node->send_ip.family != 0 && node->send_ip.family != 4
        && node->send_ip.family != 6)
    {
        return "a node's source address is of no family";
    }

    if (!v2_image_text(im, node->tag)
        || !v2_image_text(im, node->server_name))
    {
        return "a text of a node is outside or not terminated";
    }

    if (!v2_image_ref(im, node->cert_pem) || !v2_image_ref(im, node->key_pem)) {
        return "a certificate of a node is outside";
    }

    if (!v2_image_alpn(im, node->alpn)) {
        return "an ALPN list of a node is outside or malformed";
    }

    return NULL;
}


static const char *
v2_image_check_names(const v2_inode_t *node)
{
    if (memchr(node->protocol, '\0', sizeof(node->protocol)) == NULL
        || memchr(node->network, '\0', sizeof(node->network)) == NULL
        || memchr(node->flow, '\0', sizeof(node->flow)) == NULL)
    {
        return "a name of a node is not terminated";
    }

    return NULL;
}


static int
v2_image_ref(const v2_image_t *im, v2_ref_t ref)
{
    if (ref.len == 0) {
        return ref.off <= im->size;
    }

    return ref.off >= sizeof(v2_image_t) && ref.off <= im->size
           && ref.len <= im->size - ref.off;
}


static int
v2_image_text(const v2_image_t *im, v2_ref_t ref)
{
    const char  *p;

    if (!v2_image_ref(im, ref)) {
        return 0;
    }

    p = v2_image_at(im, ref);

    return ref.len == 0 || p[ref.len - 1] == '\0';
}


static int
v2_image_alpn(const v2_image_t *im, v2_ref_t ref)
{
    uint32_t        i;
    const uint8_t  *p;

    if (!v2_image_ref(im, ref)) {
        return 0;
    }

    p = v2_image_at(im, ref);

    for (i = 0; i < ref.len; i += 1 + p[i]) {
        if (p[i] == 0 || p[i] >= ref.len - i) {
            return 0;
        }
    }

    return 1;
}
