/* Node specs: sealing by the panel process, checking by master and builder.
 *
 * The panel process is not trusted by those who read its specs: it parses
 * bytes from a network. Hence a reader
 *  1. takes only a descriptor whose seals forbid every change (a writer that
 *     shrank the file later would kill the reader by SIGBUS);
 *  2. checks each field before anything uses it, also those whose range the
 *     writer has checked already;
 *  3. finds every text zero-terminated and made of visible characters, so
 *     that it can be printed into a log line as it is.
 *
 * A spec of version 1 is the fixed struct; what stands behind it up to `size`
 * belongs to the checksum and is read by nobody. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_spec.h"

#include "v2_flat.h"
#include "v2_log.h"
#include "v2_shm.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define V2_SPEC_BODY        offsetof(v2_spec_t, node_id)
#define V2_SPEC_SEALS       (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

_Static_assert(V2_SPEC_BODY == offsetof(v2_spec_t, checksum) + 8,
    "the checksum covers all behind itself");
_Static_assert(sizeof(v2_spec_t) % 8 == 0, "no padding at the end");

static const char *v2_spec_check_ranges(const v2_spec_t *spec);
static int v2_spec_word(const char *text, size_t size);
static int v2_spec_host(const char *text, size_t size);
static uint64_t v2_spec_sum(const v2_spec_t *spec);
static v2_int_t v2_spec_fill(int fd, const v2_spec_t *spec);


const v2_spec_t *
v2_spec_open(int fd)
{
    int           seals;
    void         *p;
    struct stat   st;
    const char   *why;

    seals = fcntl(fd, F_GET_SEALS);

    if (seals == -1 || (seals & V2_SPEC_SEALS) != V2_SPEC_SEALS) {
        v2_log(V2_LOG_ERR, NULL, 0, "node spec refused: it is not sealed");
        return NULL;
    }

    if (fstat(fd, &st) == -1) {
        v2_log(V2_LOG_ERR, NULL, errno, "fstat() of a node spec failed");
        return NULL;
    }

    if (st.st_size < (off_t) sizeof(v2_spec_t) || st.st_size > V2_SPEC_MAX) {
        v2_log(V2_LOG_ERR, NULL, 0, "node spec refused: it has %lld bytes",
               (long long) st.st_size);
        return NULL;
    }

    p = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

    if (p == MAP_FAILED) {
        v2_log(V2_LOG_ERR, NULL, errno, "mmap() of a node spec failed");
        return NULL;
    }

    if (v2_spec_check(p, (size_t) st.st_size, &why) != V2_OK) {
        v2_log(V2_LOG_ERR, NULL, 0, "node spec refused: %s", why);
        (void) munmap(p, (size_t) st.st_size);
        return NULL;
    }

    return p;
}


void
v2_spec_close(const v2_spec_t *spec)
{
    if (spec != NULL) {
        (void) munmap((void *) (uintptr_t) spec, spec->size);
    }
}


v2_int_t
v2_spec_check(const void *data, size_t len, const char **why)
{
    v2_spec_t  head;

    if (len < sizeof(v2_spec_t) || len > V2_SPEC_MAX) {
        *why = "its size is out of range";
        return V2_ERROR;
    }

    /* a copy: the bytes of a caller need not be aligned */
    memcpy(&head, data, sizeof(v2_spec_t));

    if (head.magic != V2_SPEC_MAGIC || head.version != V2_SPEC_VERSION) {
        *why = "it is no node spec of this version";
        return V2_ERROR;
    }

    if (head.size != len) {
        *why = "its size does not match";
        return V2_ERROR;
    }

    if (head.checksum
        != v2_hash64((const char *) data + V2_SPEC_BODY, len - V2_SPEC_BODY,
                     0))
    {
        *why = "its checksum does not match";
        return V2_ERROR;
    }

    *why = v2_spec_check_ranges(&head);

    return *why == NULL ? V2_OK : V2_ERROR;
}


int
v2_spec_write(v2_spec_t *spec)
{
    int          fd;
    const char  *why;

    spec->magic = V2_SPEC_MAGIC;
    spec->version = V2_SPEC_VERSION;
    spec->size = sizeof(v2_spec_t);
    spec->checksum = v2_spec_sum(spec);

    if (v2_spec_check(spec, spec->size, &why) != V2_OK) {
        v2_log(V2_LOG_ERR, NULL, 0, "node spec of node %" PRIu32
               " not written: %s", spec->node_id, why);
        return -1;
    }

    fd = memfd_create("v2sp-spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd == -1) {
        v2_log(V2_LOG_ERR, NULL, errno, "memfd_create() failed");
        return -1;
    }

    if (v2_spec_fill(fd, spec) != V2_OK) {
        (void) close(fd);
        return -1;
    }

    return fd;
}


static uint64_t
v2_spec_sum(const v2_spec_t *spec)
{
    return v2_hash64((const char *) spec + V2_SPEC_BODY,
                     spec->size - V2_SPEC_BODY, 0);
}


static v2_int_t
v2_spec_fill(int fd, const v2_spec_t *spec)
{
    ssize_t  n;

    n = write(fd, spec, spec->size);

    if (n != (ssize_t) spec->size) {
        v2_log(V2_LOG_ERR, NULL, n == -1 ? errno : 0,
               "write() of a node spec failed");
        return V2_ERROR;
    }

    if (fcntl(fd, F_ADD_SEALS, V2_SPEC_SEALS | F_SEAL_SEAL) == -1) {
        v2_log(V2_LOG_ERR, NULL, errno, "sealing a node spec failed");
        return V2_ERROR;
    }

    return V2_OK;
}


/* NULL, or what is wrong. */
static const char *
v2_spec_check_ranges(const v2_spec_t *spec)
{
    if (spec->node >= V2_SHM_NODES || spec->conf_index >= V2_SHM_NODES) {
        return "its node slot or place is out of range";
    }

    if (spec->port == 0) {
        return "its port is 0";
    }

    if (spec->security > V2_SEC_REALITY) {
        return "its security is out of range";
    }

    if (spec->tcp > 1 || spec->udp > 1 || spec->tcp + spec->udp == 0) {
        return "it listens on neither tcp nor udp";
    }

    if (spec->pad[0] != 0 || spec->pad[1] != 0 || spec->pad[2] != 0
        || spec->pad2 != 0)
    {
        return "its padding is not zero";
    }

    if (!v2_spec_word(spec->protocol, sizeof(spec->protocol))
        || spec->protocol[0] == '\0')
    {
        return "its protocol is not a name";
    }

    if (!v2_spec_word(spec->network, sizeof(spec->network))) {
        return "its network is not a name";
    }

    if (!v2_spec_word(spec->flow, sizeof(spec->flow))) {
        return "its flow is not a name";
    }

    if (!v2_spec_host(spec->server_name, sizeof(spec->server_name))) {
        return "its server name is not a host name";
    }

    if (spec->push_s < 5 || spec->push_s > 3600
        || spec->pull_s < 5 || spec->pull_s > 3600)
    {
        return "an interval is outside 5..3600 seconds";
    }

    return NULL;
}


/* Terminated, and of the characters of codec and flow names; may be empty. */
static int
v2_spec_word(const char *text, size_t size)
{
    size_t  i;

    for (i = 0; i < size; i++) {
        if (text[i] == '\0') {
            return 1;
        }

        if (!((text[i] >= 'a' && text[i] <= 'z')
              || (text[i] >= '0' && text[i] <= '9')
              || text[i] == '-' || text[i] == '_'))
        {
            return 0;
        }
    }

    return 0;
}


/* Terminated, lower case, a name or an address literal; may be empty. */
static int
v2_spec_host(const char *text, size_t size)
{
    size_t  i;

    for (i = 0; i < size; i++) {
        if (text[i] == '\0') {
            return 1;
        }

        if (!((text[i] >= 'a' && text[i] <= 'z')
              || (text[i] >= '0' && text[i] <= '9')
              || strchr("-_.:*", text[i]) != NULL))
        {
            return 0;
        }
    }

    return 0;
}
