/* Node specs: written, opened, and every way in which one can be wrong.
 *
 * needs: src/core/v2_spec.c src/core/v2_flat.c src/core/v2_log.c
 * needs: src/core/v2_time.c src/core/v2_core.c */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_spec.h"

#include "v2_flat.h"
#include "v2_log.h"

#include "tap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define BODY    (offsetof(v2_spec_t, checksum) + 8)

/* One fault: so many bytes of a value at an offset. */
typedef struct {
    const char  *what;
    size_t       off, size;
    const char  *value;
} fault_t;

#define FAULT(field, value) \
    { #field " " #value, offsetof(v2_spec_t, field), sizeof(value) - 1, value }


static void
fill(v2_spec_t *spec)
{
    memset(spec, 0, sizeof(v2_spec_t));
    spec->node = 3;
    spec->node_id = 12;
    spec->port = 443;
    spec->security = V2_SEC_TLS;
    spec->tcp = 1;
    strcpy(spec->protocol, "vless");
    strcpy(spec->network, "tcp");
    strcpy(spec->flow, "xtls-rprx-vision");
    strcpy(spec->server_name, "node.example.test");
    spec->push_s = 60;
    spec->pull_s = 5;
}


static void
seal(v2_spec_t *spec)
{
    spec->magic = V2_SPEC_MAGIC;
    spec->version = V2_SPEC_VERSION;
    spec->size = sizeof(v2_spec_t);
    spec->checksum = v2_hash64((char *) spec + BODY, sizeof(v2_spec_t) - BODY,
                               0);
}


static void
test_written(void)
{
    int               fd;
    v2_spec_t         spec;
    const v2_spec_t  *got;

    fill(&spec);
    fd = v2_spec_write(&spec);
    ok(fd != -1, "written");
    ok(pwrite(fd, "x", 1, 0) == -1 && ftruncate(fd, 0) == -1
       && ftruncate(fd, 9999) == -1, "nobody can change it");

    got = v2_spec_open(fd);
    ok(got != NULL, "opened");
    is_mem(got, &spec, sizeof(v2_spec_t), "as it was written");
    (void) close(fd);
    is_int(got->port, 443, "the mapping outlives the descriptor");
    v2_spec_close(got);
    v2_spec_close(NULL);

    spec.port = 0;
    is_int(v2_spec_write(&spec), -1, "a bad spec is not written");
}


static void
test_ranges(void)
{
    size_t       i;
    v2_spec_t    spec;
    const char  *why;

    static const fault_t faults[] = {
        FAULT(node, "\x00\x01\x00\x00"),
        FAULT(conf_index, "\x00\x01\x00\x00"),
        FAULT(pad2, "\x00\x00\x00\x01"),
        FAULT(port, "\x00\x00"),
        FAULT(security, "\x03"),
        FAULT(tcp, "\x02"),
        FAULT(udp, "\x02"),
        FAULT(tcp, "\x00"),
        FAULT(pad, "\x00\x00\x01"),
        FAULT(protocol, "\x00"),
        FAULT(protocol, "vless vless"),
        FAULT(protocol, "vlessvlessvlessx"),
        FAULT(network, "T"),
        FAULT(network, "tcptcptcptcptcpt"),
        FAULT(flow, "a\n"),
        FAULT(server_name, "Upper.test"),
        FAULT(server_name, "a\"b"),
        FAULT(push_s, "\x04\x00\x00\x00"),
        FAULT(push_s, "\x11\x0e\x00\x00"),
        FAULT(pull_s, "\x00\x00\x00\x00"),
    };

    fill(&spec);
    seal(&spec);
    is_int(v2_spec_check(&spec, sizeof(spec), &why), V2_OK, "a good one");

    for (i = 0; i < v2_nelems(faults); i++) {
        fill(&spec);
        memcpy((char *) &spec + faults[i].off, faults[i].value,
               faults[i].size);
        seal(&spec);
        why = NULL;
        ok(v2_spec_check(&spec, sizeof(spec), &why) == V2_ERROR
           && why != NULL, "refused: %s", faults[i].what);
    }

    fill(&spec);
    memset(spec.server_name, 'a', sizeof(spec.server_name));
    seal(&spec);
    is_int(v2_spec_check(&spec, sizeof(spec), &why), V2_ERROR,
           "a server name without end");
}


static void
test_head(void)
{
    char         bytes[sizeof(v2_spec_t) + 16];
    size_t       i, bad;
    v2_spec_t    spec;
    const char  *why;

    fill(&spec);
    seal(&spec);

    for (i = 0, bad = 0; i < sizeof(spec); i++) {
        ((unsigned char *) &spec)[i] ^= 0x40;
        bad += v2_spec_check(&spec, sizeof(spec), &why) == V2_ERROR;
        ((unsigned char *) &spec)[i] ^= 0x40;
    }

    /* one slot is as good as another, and stands before the checksum */
    is_int(bad, sizeof(spec) - 1, "each flipped bit is seen");

    for (i = 0, bad = 0; i < sizeof(spec); i++) {
        bad += v2_spec_check(&spec, i, &why) == V2_ERROR;
    }

    is_int(bad, sizeof(spec), "each cut is seen");

    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes + 1, &spec, sizeof(spec));
    is_int(v2_spec_check(bytes + 1, sizeof(spec), &why), V2_OK,
           "bytes need not be aligned");
    is_int(v2_spec_check(bytes + 1, sizeof(spec) + 1, &why), V2_ERROR,
           "a byte too many");
}


/* A descriptor that its writer could still shrink is never mapped. */
static void
test_seals(void)
{
    int        fd;
    v2_spec_t  spec;

    fill(&spec);
    seal(&spec);

    fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ok(write(fd, &spec, sizeof(spec)) == (ssize_t) sizeof(spec), "unsealed");
    ok(v2_spec_open(fd) == NULL, "unsealed is refused");
    (void) fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE);
    ok(v2_spec_open(fd) == NULL, "able to shrink is refused");
    (void) fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
    v2_spec_close(v2_spec_open(fd));
    ok(v2_spec_open(fd) != NULL, "sealed is taken");
    (void) close(fd);

    fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    (void) fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SHRINK);
    ok(v2_spec_open(fd) == NULL, "empty is refused");
    (void) close(fd);

    ok(v2_spec_open(-1) == NULL, "no descriptor");

    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ok(v2_spec_open(fd) == NULL, "no memfd");
    (void) close(fd);
}


int
main(void)
{
    v2_log_init(2, 0, -1);

    test_written();
    test_ranges();
    test_head();
    test_seals();

    return done_testing();
}
