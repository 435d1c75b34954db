/* Vision both ways. The first bytes choose how the rest is cut; the rest is
 * blocks going in, and then a download, whose blocks are read again: contents,
 * bills and record ends must be those of the download.
 *
 * needs: src/core/v2_buf.c src/core/v2_chain.c src/core/v2_crypt.c
 * needs: src/core/v2_log.c src/core/v2_time.c src/core/v2_core.c
 * libs: -lcrypto */

#include "../../src/proto/v2_vision.c"

#define CUTS    4
#define ROUNDS  300

static const uint8_t  id[V2_VISION_ID] = "sixteen bytes id";

static void go_in(const uint8_t *p, size_t size, const uint8_t *cuts);
static void go_out(const uint8_t *p, size_t size, const uint8_t *cuts);
static size_t read_block(v2_chain_t *wire, const uint8_t *p, size_t left,
    unsigned command);
static size_t add(v2_chain_t *c, const uint8_t *p, size_t size, uint8_t cut);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int                  ready;
    static const v2_buf_conf_t  conf[V2_BUF_GROUPS] = {
        { 2048, 64 }, { 16384 + 512, 16 }, { 262144, 4 }
    };

    if (!ready) {
        ready = 1;
        (void) v2_buf_init(conf);
    }

    if (size <= CUTS) {
        return 0;
    }

    go_in(data + CUTS, size - CUTS, data);
    go_out(data + CUTS, size - CUTS, data);

    if (v2_buf_mem_bytes() != 0 || v2_buf_free_n(V2_BUF_HAND) != 64) {
        abort();
    }

    return 0;
}


static void
go_in(const uint8_t *p, size_t size, const uint8_t *cuts)
{
    size_t        n, got;
    unsigned      i;
    v2_int_t      rc;
    v2_chain_t    wire, app;
    v2_vision_t   v;

    v2_vision_init(&v, id);
    v2_chain_init(&wire);
    v2_chain_init(&app);
    rc = V2_AGAIN;
    got = 0;

    for (i = 0; size != 0 && rc == V2_AGAIN && i < ROUNDS; i++) {
        n = add(&wire, p, size, cuts[i % CUTS]);
        p += n;
        size -= n;
        got += n;
        wire.fin = size == 0;
        rc = v2_vision_in(&v, &wire, &app);
    }

    if (rc == V2_OK || app.bytes + wire.bytes > got) {
        abort();
    }

    v2_chain_free(&wire);
    v2_chain_free(&app);
}


static void
go_out(const uint8_t *p, size_t size, const uint8_t *cuts)
{
    size_t        n, left, done;
    unsigned      i, end;
    v2_int_t      rc;
    v2_chain_t    wire, app;
    v2_vision_t   v;

    v2_vision_init(&v, id);
    v2_chain_init(&wire);
    v2_chain_init(&app);
    rc = V2_OK;
    done = 0;

    for (i = 0; size - done != 0 && rc == V2_OK && i < ROUNDS; i++) {
        n = add(&app, p + done, size - done, cuts[i % CUTS]);
        end = cuts[(i + 1) % CUTS] & 1;

        if (end && n < size - done) {
            n += add(&app, p + done + n, size - done - n, cuts[i % CUTS]);
        }

        for (left = n; rc == V2_OK && app.bytes; left -= n) {
            rc = v2_vision_out(&v, &app, &wire, id, end ? sizeof(id) : 0);

            if (end) {
                (void) v2_chain_take(&wire, sizeof(id));
                end = 0;
            }

            n = read_block(&wire, p + done, left, rc == V2_OK ? V2_BLOCK_MORE
                           : rc == V2_PASS ? V2_BLOCK_END : V2_BLOCK_DIRECT);
            done += n;
        }

        if (left != app.bytes) {
            abort();
        }
    }

    v2_chain_free(&app);
}


static size_t
read_block(v2_chain_t *wire, const uint8_t *p, size_t left, unsigned command)
{
    size_t   i, n, pad;
    uint8_t  b[V2_VISION_UNIT];

    n = v2_chain_peek(wire, b, sizeof(b));

    if (n != wire->bytes || n < V2_VISION_HEAD || b[0] != command
        || !wire->last->end)
    {
        abort();
    }

    n = (size_t) b[1] << 8 | b[2];
    pad = (size_t) b[3] << 8 | b[4];

    if (n == 0 || n > left || V2_VISION_HEAD + n + pad != wire->bytes
        || memcmp(b + V2_VISION_HEAD, p, n) != 0)
    {
        abort();
    }

    for (i = 0; i < pad; i++) {
        if (b[V2_VISION_HEAD + n + i] != 0) {
            abort();
        }
    }

    if (v2_chain_take(wire, wire->bytes) != n) {
        abort();
    }

    return n;
}


/* A piece whose size the cut chooses, in a ring buffer or in memory. */
static size_t
add(v2_chain_t *c, const uint8_t *p, size_t size, uint8_t cut)
{
    size_t     n;
    v2_buf_t  *b;

    n = 1 + (size_t) (cut & 0x3f) * (cut & 0x40 ? 300 : 1);
    n = v2_min(n, size);
    b = cut & 0x80 && n <= 2048 ? v2_buf_get(V2_BUF_HAND) : NULL;

    if (b == NULL) {
        b = v2_buf_mem(n);
    }

    memcpy(b->data + V2_BUF_HEAD, p, n);
    (void) v2_chain_add(c, b, V2_BUF_HEAD, (uint32_t) n, (uint32_t) n);

    return n;
}
