/* Mux.Cool and XUDP, server side (protocols.md 8): frames of sub-connections
 * in one stream.
 *
 *   frame = u16 length of metadata, metadata, [u16 length, data]
 *   metadata = u16 id, status, option, [network, port and address, [8 bytes]]
 *
 *   status     from the client                  to the client
 *   New        opens a child                    never
 *   Keep       data; of UDP with an address     data, with the source address
 *   End        the child's remote ends          its remote ended, or failed
 *   KeepAlive  nothing                          never
 *
 * Invariants
 *  1. One frame a call, whole. A malformed one ends the connection.
 *  2. A child is in table[] from New until End was said by either side.
 *  3. Payload of a frame is billed with the frame's last byte. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_codec.h"

#define V2_MUX_META_MIN     4
#define V2_MUX_META_MAX     512
#define V2_MUX_CHILDREN     128
#define V2_MUX_DATA_MAX     8192
#define V2_MUX_IDLE_MS      60000

enum { V2_MUX_NEW = 1, V2_MUX_KEEP, V2_MUX_END, V2_MUX_KEEPALIVE };
enum { V2_MUX_DATA = 1, V2_MUX_FAILED = 2 };
enum { V2_MUX_TCP = 1, V2_MUX_UDP };

typedef struct {
    uint16_t      id;
    uint8_t       udp;
    uint8_t       ready;            /* has output */
    v2_dest_t     dest;
} v2_mux_child_t;

typedef struct {
    v2_child_t   *table[V2_MUX_CHILDREN];
    unsigned      n;                /* children in the table */
    unsigned      next;             /* where pulling goes on */
    unsigned      opened;           /* since the last look */
} v2_mux_t;

typedef struct {                    /* one frame's metadata */
    uint16_t      id;
    uint8_t       status, option, network;
    uint8_t       has_dest;
    size_t        size;             /* with its length */
    size_t        data;             /* payload bytes */
    uint8_t       has_gid;
    uint8_t       gid[V2_CHILD_ID]; /* XUDP's Global ID */
    v2_dest_t     dest;
} v2_mux_frame_t;

static v2_int_t v2_mux_open(v2_layer_t *ly);
static v2_int_t v2_mux_in(v2_layer_t *ly, v2_chain_t *wire, v2_chain_t *app);
static v2_int_t v2_mux_frame(v2_chain_t *wire, v2_mux_frame_t *f);
static v2_int_t v2_mux_meta(const uint8_t *p, size_t len, v2_mux_frame_t *f);
static size_t v2_mux_dest(const uint8_t *p, size_t len, v2_dest_t *dest);
static v2_int_t v2_mux_new(v2_layer_t *ly, v2_chain_t *data,
    v2_mux_frame_t *f);
static v2_int_t v2_mux_keep(v2_layer_t *ly, v2_chain_t *data,
    v2_mux_frame_t *f);
static v2_int_t v2_mux_feed(v2_layer_t *ly, v2_child_t *ch, v2_chain_t *data,
    v2_mux_frame_t *f);
static v2_int_t v2_mux_packet(v2_layer_t *ly, v2_child_t *ch,
    v2_chain_t *data, v2_mux_frame_t *f);
static v2_int_t v2_mux_out(v2_layer_t *ly, v2_chain_t *app, v2_chain_t *wire);
static v2_int_t v2_mux_pull(v2_layer_t *ly, unsigned i, v2_chain_t *wire);
static v2_int_t v2_mux_datagram(v2_child_t *ch, v2_chain_t *wire);
static size_t v2_mux_source(const v2_addr_t *a, uint8_t *p);
static v2_int_t v2_mux_data(v2_child_t *ch, v2_chain_t *wire, uint8_t *head,
    size_t len, size_t n);
static v2_int_t v2_mux_end(v2_chain_t *wire, uint16_t id, uint8_t option);
static void v2_mux_child(v2_layer_t *ly, v2_child_t *ch, v2_child_ev_e ev);
static v2_int_t v2_mux_wake(v2_layer_t *ly);
static int v2_mux_find(const v2_mux_t *m, uint16_t id);
static void v2_mux_forget(v2_mux_t *m, unsigned i);
static v2_int_t v2_mux_bad(v2_layer_t *ly, const char *why);

const v2_codec_t  v2_mux_codec = {
    .name = "mux",
    .flags = V2_CODEC_MUX | V2_CODEC_APP_DGRAM,
    .state_size = sizeof(v2_mux_t),
    .open = v2_mux_open,
    .in = v2_mux_in,
    .out = v2_mux_out,
    .wake = v2_mux_wake,
    .child_size = sizeof(v2_mux_child_t),
    .child = v2_mux_child
};


static v2_int_t
v2_mux_open(v2_layer_t *ly)
{
    v2_layer_timer(ly, v2_layer_view(ly)->now_ms + V2_MUX_IDLE_MS);

    return V2_OK;
}


static v2_int_t
v2_mux_in(v2_layer_t *ly, v2_chain_t *wire, v2_chain_t *app)
{
    int               i;
    v2_int_t          rc;
    v2_mux_t         *m;
    v2_chain_t        data;
    v2_mux_frame_t    f;

    (void) app;

    m = ly->state;

    rc = v2_mux_frame(wire, &f);
    if (rc == V2_ERROR) {
        return v2_mux_bad(ly, "malformed mux frame");
    }

    if (rc != V2_OK) {
        return rc;
    }

    v2_chain_init(&data);
    (void) v2_chain_take(wire, f.size);

    if (v2_chain_move_n(&data, wire, f.data) != V2_OK) {
        return V2_ERROR;
    }

    switch (f.status) {

    case V2_MUX_NEW:
        rc = v2_mux_new(ly, &data, &f);
        break;

    case V2_MUX_KEEP:
        rc = v2_mux_keep(ly, &data, &f);
        break;

    case V2_MUX_END:
        i = v2_mux_find(m, f.id);

        if (i >= 0) {
            v2_child_close(m->table[i]);
            v2_mux_forget(m, (unsigned) i);
        }

        break;

    default:                                /* KeepAlive */
        break;
    }

    v2_chain_free(&data);

    return rc;
}


/* The frame at the start of `wire`, when all of it is there. */
static v2_int_t
v2_mux_frame(v2_chain_t *wire, v2_mux_frame_t *f)
{
    size_t   n, len;
    uint8_t  b[2 + V2_MUX_META_MAX + 2];

    n = v2_chain_peek(wire, b, sizeof(b));

    if (n < 2) {
        return V2_AGAIN;
    }

    len = (size_t) b[0] << 8 | b[1];

    if (len < V2_MUX_META_MIN || len > V2_MUX_META_MAX) {
        return V2_ERROR;
    }

    if (n < 2 + len) {
        return V2_AGAIN;
    }

    memset(f, 0, sizeof(*f));

    if (v2_mux_meta(b + 2, len, f) != V2_OK) {
        return V2_ERROR;
    }

    f->size = 2 + len;

    if (!(f->option & V2_MUX_DATA)) {
        return V2_OK;
    }

    if (n < f->size + 2) {
        return V2_AGAIN;
    }

    f->data = (size_t) b[f->size] << 8 | b[f->size + 1];
    f->size += 2;

    return wire->bytes < f->size + f->data ? V2_AGAIN : V2_OK;
}


static v2_int_t
v2_mux_meta(const uint8_t *p, size_t len, v2_mux_frame_t *f)
{
    static const uint8_t  none[V2_CHILD_ID];

    size_t  n;

    f->id = (uint16_t) (p[0] << 8 | p[1]);
    f->status = p[2];
    f->option = p[3];

    if (f->status < V2_MUX_NEW || f->status > V2_MUX_KEEPALIVE) {
        return V2_ERROR;
    }

    if (f->status == V2_MUX_NEW
        || (f->status == V2_MUX_KEEP && len > V2_MUX_META_MIN
            && p[4] == V2_MUX_UDP))
    {
        if (len < V2_MUX_META_MIN + 1) {
            return V2_ERROR;
        }

        f->network = p[4];
        f->has_dest = 1;

        if (f->network != V2_MUX_TCP && f->network != V2_MUX_UDP) {
            return V2_ERROR;
        }

        f->dest.udp = f->network == V2_MUX_UDP;
        n = v2_mux_dest(p + 5, len - 5, &f->dest);

        if (n == 0) {
            return V2_ERROR;
        }

        if (f->status == V2_MUX_NEW && f->dest.udp
            && (f->option & V2_MUX_DATA) && len - 5 - n >= V2_CHILD_ID)
        {
            memcpy(f->gid, p + 5 + n, V2_CHILD_ID);
            f->has_gid = memcmp(f->gid, none, V2_CHILD_ID) != 0;
        }
    }

    return V2_OK;
}


/* Port, then address (protocols.md 0.1, table PA). The bytes read, 0: bad. */
static size_t
v2_mux_dest(const uint8_t *p, size_t len, v2_dest_t *dest)
{
    size_t  n;

    if (len < 3) {
        return 0;
    }

    dest->port = (uint16_t) (p[0] << 8 | p[1]);

    switch (p[2]) {

    case 1:
        n = 4;
        break;

    case 3:
        n = 16;
        break;

    case 2:
        if (len < 4 || len < 4 + (size_t) p[3]
            || v2_dest_set_name(dest, (const char *) p + 4, p[3]) != V2_OK)
        {
            return 0;
        }

        return 4 + (size_t) p[3];

    default:
        return 0;
    }

    if (len < 3 + n) {
        return 0;
    }

    v2_addr_set(&dest->addr, p + 3, n);
    dest->addr.port = dest->port;

    return 3 + n;
}


static v2_int_t
v2_mux_new(v2_layer_t *ly, v2_chain_t *data, v2_mux_frame_t *f)
{
    int              i;
    v2_mux_t        *m;
    v2_chain_t       end;
    v2_child_t      *ch;
    v2_mux_child_t  *mc;

    m = ly->state;

    if (f->network == V2_MUX_TCP && v2_layer_view(ly)->req.mux_udp) {
        return v2_mux_bad(ly, "TCP in a mux of a flow that allows UDP only");
    }

    i = v2_mux_find(m, f->id);

    if (i >= 0) {                           /* the client forgot the old one */
        v2_child_close(m->table[i]);
        v2_mux_forget(m, (unsigned) i);
    }

    ch = m->n < V2_MUX_CHILDREN
         ? v2_child_open(ly, &f->dest, f->has_gid ? f->gid : NULL) : NULL;

    if (ch == NULL) {
        v2_chain_init(&end);

        if (v2_mux_end(&end, f->id, V2_MUX_FAILED) != V2_OK) {
            return V2_ERROR;
        }

        v2_layer_emit(ly, &end);

        return V2_OK;
    }

    mc = ch->state;
    mc->id = f->id;
    mc->udp = f->dest.udp;
    mc->dest = f->dest;
    m->opened++;
    m->n++;

    for (i = 0; m->table[i]; i++) { /* void */ }

    m->table[i] = ch;
    f->has_dest = 0;

    return v2_mux_feed(ly, ch, data, f);
}


static v2_int_t
v2_mux_keep(v2_layer_t *ly, v2_chain_t *data, v2_mux_frame_t *f)
{
    int          i;
    v2_mux_t    *m;
    v2_chain_t   end;

    m = ly->state;
    i = v2_mux_find(m, f->id);

    if (i >= 0) {
        return v2_mux_feed(ly, m->table[i], data, f);
    }

    v2_chain_init(&end);

    if (v2_mux_end(&end, f->id, 0) != V2_OK) {
        return V2_ERROR;
    }

    v2_layer_emit(ly, &end);

    return V2_OK;
}


static v2_int_t
v2_mux_feed(v2_layer_t *ly, v2_child_t *ch, v2_chain_t *data,
    v2_mux_frame_t *f)
{
    v2_mux_child_t  *mc;

    mc = ch->state;

    if (f->data == 0) {
        return V2_OK;                       /* not an end */
    }

    if (mc->udp) {
        return v2_mux_packet(ly, ch, data, f);
    }

    v2_child_feed(ch, data);

    return V2_OK;
}


/* One datagram. With an address other than the first one it goes there; a
 * name is only good when it is the first one's. */
static v2_int_t
v2_mux_packet(v2_layer_t *ly, v2_child_t *ch, v2_chain_t *data,
    v2_mux_frame_t *f)
{
    v2_buf_t        *b;
    v2_chain_t       one;
    v2_slice_t      *s;
    v2_mux_child_t  *mc;

    mc = ch->state;

    if (f->data > V2_MUX_DATA_MAX) {
        return v2_mux_bad(ly, "mux datagram of more than 8192 bytes");
    }

    if (f->has_dest && f->dest.addr.family == 0
        && (f->dest.port != mc->dest.port
            || strcmp(f->dest.name, mc->dest.name) != 0))
    {
        return V2_OK;                       /* lost, as on any path */
    }

    b = v2_layer_buf(ly, f->data);
    if (b == NULL) {
        return V2_OK;
    }

    (void) v2_chain_peek(data, b->data + V2_BUF_HEAD, f->data);
    v2_chain_init(&one);

    s = v2_chain_add(&one, b, V2_BUF_HEAD, (uint32_t) f->data, 0);
    if (s == NULL) {
        v2_buf_put(b);
        return V2_OK;
    }

    s->end = 1;

    if (f->has_dest && f->dest.addr.family) {
        b->addr = f->dest.addr;
        s->addr = &b->addr;
    }

    v2_child_feed(ch, &one);

    return V2_OK;
}


/* One frame of the next child that has something. */
static v2_int_t
v2_mux_out(v2_layer_t *ly, v2_chain_t *app, v2_chain_t *wire)
{
    unsigned         i, k;
    v2_mux_t        *m;
    v2_mux_child_t  *mc;

    (void) app;

    m = ly->state;

    for (k = 0; k < V2_MUX_CHILDREN; k++) {
        i = (m->next + k) % V2_MUX_CHILDREN;

        if (m->table[i] == NULL) {
            continue;
        }

        mc = m->table[i]->state;

        if (mc->ready) {
            m->next = i + 1;
            return v2_mux_pull(ly, i, wire);
        }
    }

    return V2_AGAIN;
}


static v2_int_t
v2_mux_pull(v2_layer_t *ly, unsigned i, v2_chain_t *wire)
{
    uint8_t          head[8];
    v2_int_t         rc;
    v2_mux_t        *m;
    v2_child_t      *ch;
    v2_mux_child_t  *mc;

    m = ly->state;
    ch = m->table[i];
    mc = ch->state;
    rc = V2_OK;

    if (ch->out->head && mc->udp) {
        rc = v2_mux_datagram(ch, wire);

    } else if (ch->out->head) {
        memcpy(head, "\0\4\0\0\2\1", 6);
        head[2] = (uint8_t) (mc->id >> 8);
        head[3] = (uint8_t) mc->id;
        rc = v2_mux_data(ch, wire, head, 6,
                         v2_min(ch->out->bytes, (size_t) V2_MUX_DATA_MAX));
    }

    if (rc != V2_OK) {
        return rc;
    }

    if (ch->out->head) {
        return V2_OK;
    }

    mc->ready = 0;

    if (ch->out->fin) {
        rc = v2_mux_end(wire, mc->id, 0);
        v2_child_close(ch);
        v2_mux_forget(m, i);
    }

    return rc;
}


static v2_int_t
v2_mux_datagram(v2_child_t *ch, v2_chain_t *wire)
{
    size_t           len;
    uint8_t          head[32];
    v2_slice_t      *s;
    v2_mux_child_t  *mc;

    mc = ch->state;
    s = ch->out->head;

    if (s->len > V2_MUX_DATA_MAX || s->len == 0) {
        (void) v2_chain_take(ch->out, s->len);      /* no frame holds it */
        return V2_OK;
    }

    head[2] = (uint8_t) (mc->id >> 8);
    head[3] = (uint8_t) mc->id;
    head[4] = V2_MUX_KEEP;
    head[5] = V2_MUX_DATA;
    head[6] = V2_MUX_UDP;
    len = 7 + v2_mux_source(s->addr, head + 7);
    head[0] = 0;
    head[1] = (uint8_t) (len - 2);

    return v2_mux_data(ch, wire, head, len, s->len);
}


static size_t
v2_mux_source(const v2_addr_t *a, uint8_t *p)
{
    size_t  n;

    n = a->family == 6 ? 16 : 4;
    p[0] = (uint8_t) (a->port >> 8);
    p[1] = (uint8_t) a->port;
    p[2] = a->family == 6 ? 3 : 1;
    memcpy(p + 3, a->ip, n);

    return 3 + n;
}


/* Metadata (len bytes; head has room for the data length) and n bytes of the
 * child's output as one frame, billed when it is whole. */
static v2_int_t
v2_mux_data(v2_child_t *ch, v2_chain_t *wire, uint8_t *head, size_t len,
    size_t n)
{
    uint32_t     bill;
    v2_chain_t   frame;
    v2_slice_t  *s;

    head[len] = (uint8_t) (n >> 8);
    head[len + 1] = (uint8_t) n;

    v2_chain_init(&frame);

    if (v2_chain_move_n(&frame, ch->out, n) != V2_OK) {
        return V2_ERROR;
    }

    bill = 0;

    for (s = frame.head; s; s = s->next) {
        bill += s->bill;
        s->bill = 0;
        s->linear = 0;
        s->end = 0;
        s->addr = NULL;
    }

    frame.last->bill = bill;

    if (v2_chain_copy(wire, head, len + 2) != V2_OK) {
        v2_chain_free(&frame);
        return V2_ERROR;
    }

    v2_chain_move(wire, &frame);

    return V2_OK;
}


static v2_int_t
v2_mux_end(v2_chain_t *wire, uint16_t id, uint8_t option)
{
    uint8_t  b[6] = { 0, 4, (uint8_t) (id >> 8), (uint8_t) id, V2_MUX_END,
                      option };

    return v2_chain_copy(wire, b, sizeof(b));
}


static void
v2_mux_child(v2_layer_t *ly, v2_child_t *ch, v2_child_ev_e ev)
{
    int              i;
    v2_mux_t        *m;
    v2_chain_t       end;
    v2_mux_child_t  *mc;

    m = ly->state;
    mc = ch->state;

    if (ev == V2_CHILD_OUTPUT) {
        mc->ready = 1;
        return;
    }

    i = v2_mux_find(m, mc->id);

    if (i < 0 || m->table[i] != ch) {
        return;
    }

    v2_mux_forget(m, (unsigned) i);
    v2_chain_init(&end);

    if (v2_mux_end(&end, mc->id, ev == V2_CHILD_FAILED ? V2_MUX_FAILED : 0)
        == V2_OK)
    {
        v2_layer_emit(ly, &end);
    }
}


/* No child for a whole minute in which none was opened: the client forgot. */
static v2_int_t
v2_mux_wake(v2_layer_t *ly)
{
    v2_mux_t  *m;

    m = ly->state;

    if (m->n == 0 && m->opened == 0) {
        v2_layer_view(ly)->req.why = "mux without sub-connections";
        return V2_ERROR;
    }

    m->opened = 0;
    v2_layer_timer(ly, v2_layer_view(ly)->now_ms + V2_MUX_IDLE_MS);

    return V2_OK;
}


static int
v2_mux_find(const v2_mux_t *m, uint16_t id)
{
    int                    i;
    const v2_mux_child_t  *mc;

    for (i = 0; i < V2_MUX_CHILDREN; i++) {
        if (m->table[i]) {
            mc = m->table[i]->state;

            if (mc->id == id) {
                return i;
            }
        }
    }

    return -1;
}


static void
v2_mux_forget(v2_mux_t *m, unsigned i)
{
    m->table[i] = NULL;
    m->n--;
}


static v2_int_t
v2_mux_bad(v2_layer_t *ly, const char *why)
{
    v2_layer_view(ly)->req.why = why;

    return V2_ERROR;
}
