/* VLESS, server side (protocols.md 1): commands TCP, UDP and Mux, flow Vision.
 *
 *   way   state            one unit
 *   in    header           the request: user, command, destination
 *         TCP, Mux         leaves the stack: payload needs nothing of it
 *         UDP              u16 length and payload: one datagram
 *         Vision           blocks, until they end (v2_vision.c)
 *   out   before the first the response header (2 bytes, in front of the first
 *                          payload, in the same write)
 *         TCP, Mux         leaves the stack after that
 *         UDP              each datagram gets its length in front
 *         Vision           blocks, until they end
 *
 * A bad header closes quietly, without an answer, as the reference server does
 * without fallbacks. A user is known by 16 bytes with bytes 6 and 7 cleared. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_codec.h"
#include "v2_spec.h"
#include "v2_image.h"
#include "v2_uuid.h"
#include "v2_vision.h"

#define V2_VLESS_VERSION    0
#define V2_VLESS_ID         16
#define V2_VLESS_HEADER     (1 + V2_VLESS_ID + 1 + 255 + 1 + 2 + 1 + 1 + 255)
#define V2_VLESS_FLOW_MAX   32

enum { V2_VLESS_TCP = 1, V2_VLESS_UDP, V2_VLESS_MUX, V2_VLESS_REVERSE };
enum { V2_VLESS_IPV4 = 1, V2_VLESS_DOMAIN, V2_VLESS_IPV6 };

typedef struct {
    uint8_t       ready;        /* the request was read */
    uint8_t       udp;
    uint8_t       padded;       /* the flow is Vision */
    uint8_t       responded;    /* the response header went out */
    v2_vision_t   vision;
} v2_vless_t;

typedef struct {                /* reading a header that may be incomplete */
    const uint8_t  *p, *end;
} v2_vless_cur_t;

static v2_int_t v2_vless_check(const v2_spec_t *spec, char *why, size_t size);
static v2_int_t v2_vless_index(const v2_spec_t *spec, const char *uuid,
    v2_cred_t *cred);
static v2_int_t v2_vless_in(v2_layer_t *ly, v2_chain_t *wire, v2_chain_t *app);
static v2_int_t v2_vless_header(v2_layer_t *ly, v2_vless_cur_t *cur);
static v2_int_t v2_vless_command(v2_layer_t *ly, v2_vless_cur_t *cur,
    const uint8_t *id, const char *flow);
static v2_int_t v2_vless_mux(v2_layer_t *ly, const v2_vless_cur_t *cur,
    int flow, int vision);
static v2_int_t v2_vless_flow(const uint8_t *p, size_t len, char *flow);
static v2_int_t v2_vless_varint(const uint8_t **p, const uint8_t *end,
    uint64_t *value);
static v2_int_t v2_vless_address(v2_req_t *req, v2_vless_cur_t *cur);
static v2_int_t v2_vless_refuse(v2_req_t *req, const char *why);
static v2_int_t v2_vless_packet(v2_chain_t *wire, v2_chain_t *app);
static v2_int_t v2_vless_out(v2_layer_t *ly, v2_chain_t *app,
    v2_chain_t *wire);
static v2_int_t v2_vless_vision(v2_vless_t *v, v2_chain_t *app,
    v2_chain_t *wire);
static v2_int_t v2_vless_frame(v2_chain_t *app, v2_chain_t *wire,
    const uint8_t *head, uint32_t len);
static v2_int_t v2_vless_end(v2_layer_t *ly, v2_chain_t *wire);

const v2_codec_t  v2_vless_codec = {
    .name = "vless",
    .flags = V2_CODEC_PROXY | V2_CODEC_APP_DGRAM,
    .state_size = sizeof(v2_vless_t),
    .check = v2_vless_check,
    .index = v2_vless_index,
    .in = v2_vless_in,
    .out = v2_vless_out,
    .end = v2_vless_end
};


static v2_int_t
v2_vless_check(const v2_spec_t *spec, char *why, size_t size)
{
    if (spec->flow[0] == '\0') {
        return V2_OK;
    }

    if (strcmp(spec->flow, V2_VISION_FLOW) != 0) {
        (void) snprintf(why, size, "flow \"%s\" is unknown, only \""
                        V2_VISION_FLOW "\" is there", spec->flow);
        return V2_ERROR;
    }

    if (spec->security == V2_SEC_NONE || strcmp(spec->network, "tcp") != 0) {
        (void) snprintf(why, size, "flow \"%s\" needs TLS or REALITY on "
                        "network \"tcp\"", spec->flow);
        return V2_ERROR;
    }

    return V2_OK;
}


static v2_int_t
v2_vless_index(const v2_spec_t *spec, const char *uuid, v2_cred_t *cred)
{
    (void) spec;

    if (v2_uuid_parse(uuid, cred->bytes) != V2_OK) {
        return V2_ERROR;
    }

    cred->bytes[6] = cred->bytes[7] = 0;
    cred->len = V2_VLESS_ID;

    return V2_OK;
}


static v2_int_t
v2_vless_in(v2_layer_t *ly, v2_chain_t *wire, v2_chain_t *app)
{
    size_t           n;
    uint8_t          head[V2_VLESS_HEADER];
    v2_int_t         rc;
    v2_vless_t      *v;
    v2_vless_cur_t   cur;

    v = ly->state;

    if (v->ready && v->padded) {
        rc = v2_vision_in(&v->vision, wire, app);

        if (rc == V2_ERROR) {
            v2_layer_view(ly)->req.why = "malformed Vision block";
        }

        return rc;
    }

    if (v->ready) {
        return v->udp ? v2_vless_packet(wire, app) : V2_PASS;
    }

    n = v2_chain_peek(wire, head, sizeof(head));
    cur.p = head;
    cur.end = head + n;

    rc = v2_vless_header(ly, &cur);
    if (rc != V2_OK) {
        return rc;
    }

    (void) v2_chain_take(wire, (size_t) (cur.p - head));
    v->ready = 1;
    v->udp = v2_layer_view(ly)->req.dest.udp;

    return V2_DONE;
}


/* The whole request, or V2_AGAIN: it is read from its start each time, which
 * happens as often as the client cuts it. */
static v2_int_t
v2_vless_header(v2_layer_t *ly, v2_vless_cur_t *cur)
{
    char            flow[V2_VLESS_FLOW_MAX];
    size_t          addons;
    uint8_t         id[V2_VLESS_ID];
    v2_req_t       *req;
    const uint8_t  *sent;

    req = &v2_layer_view(ly)->req;

    if (cur->end - cur->p < 1) {
        return V2_AGAIN;
    }

    if (*cur->p++ != V2_VLESS_VERSION) {
        return v2_vless_refuse(req, "not VLESS, or an unknown version of it");
    }

    if (cur->end - cur->p < V2_VLESS_ID) {
        return V2_AGAIN;
    }

    sent = cur->p;
    memcpy(id, sent, V2_VLESS_ID);
    id[6] = id[7] = 0;
    cur->p += V2_VLESS_ID;

    if (v2_layer_user(ly, id, V2_VLESS_ID) != V2_OK) {
        return v2_vless_refuse(req, "no such user");
    }

    if (cur->end - cur->p < 1) {
        return V2_AGAIN;
    }

    addons = *cur->p++;

    if ((size_t) (cur->end - cur->p) < addons) {
        return V2_AGAIN;
    }

    if (v2_vless_flow(cur->p, addons, flow) != V2_OK) {
        return v2_vless_refuse(req, "malformed VLESS addons");
    }

    cur->p += addons;

    if (cur->end - cur->p < 1) {
        return V2_AGAIN;
    }

    return v2_vless_command(ly, cur, sent, flow);
}


/* What a node's flow, the flow that is asked for, and the command allow
 * together (protocols.md 1.4). */
static v2_int_t
v2_vless_command(v2_layer_t *ly, v2_vless_cur_t *cur, const uint8_t *id,
    const char *flow)
{
    int          has, vision;
    uint8_t      command;
    v2_int_t     rc;
    v2_req_t    *req;
    v2_vless_t  *v;

    v = ly->state;
    req = &v2_layer_view(ly)->req;
    has = strcmp(v2_layer_view(ly)->node->flow, V2_VISION_FLOW) == 0;
    vision = strcmp(flow, V2_VISION_FLOW) == 0;

    if (flow[0] && !(has && vision)) {
        return v2_vless_refuse(req, "the client asks for a flow that this "
                               "node does not have");
    }

    if (vision && req->tls_version != V2_VISION_TLS) {
        return v2_vless_refuse(req, "the client asks for Vision in a TLS "
                               "connection that is not of version 1.3");
    }

    command = *cur->p++;

    switch (command) {

    case V2_VLESS_TCP:
        if (has && !vision) {
            return v2_vless_refuse(req, "the client does not use the flow of "
                                   "this node: set it to " V2_VISION_FLOW);
        }

        rc = v2_vless_address(req, cur);
        break;

    case V2_VLESS_UDP:
        if (vision) {
            return v2_vless_refuse(req, "the client asks for UDP in Vision, "
                                   "where only XUDP goes");
        }

        req->dest.udp = 1;
        rc = v2_vless_address(req, cur);
        break;

    case V2_VLESS_MUX:
        rc = v2_vless_mux(ly, cur, has, vision);
        break;

    case V2_VLESS_REVERSE:
        return v2_vless_refuse(req, "the client asks for a reverse proxy");

    default:
        return v2_vless_refuse(req, "unknown VLESS command");
    }

    if (rc == V2_OK && vision) {
        v->padded = 1;
        v2_vision_init(&v->vision, id);
    }

    return rc;
}


/* A node with a flow lets a mux carry UDP only. Outside of Vision it must be
 * XUDP by what came with the request: New, session 0, UDP. */
static v2_int_t
v2_vless_mux(v2_layer_t *ly, const v2_vless_cur_t *cur, int flow, int vision)
{
    v2_req_t  *req;

    req = &v2_layer_view(ly)->req;

    if (flow && !vision
        && (cur->end - cur->p < 7 || cur->p[2] != 0 || cur->p[3] != 0
            || cur->p[6] != 2))
    {
        return v2_vless_refuse(req, "the client asks for Mux.Cool without the "
                               "flow of this node: set it to "
                               V2_VISION_FLOW);
    }

    if (v2_layer_push(ly, "mux") != V2_OK) {
        return v2_vless_refuse(req, "the client asks for Mux.Cool, which is "
                               "not built");
    }

    req->mux = 1;
    req->mux_udp = flow ? 1 : 0;

    return V2_OK;
}


/* The Flow field (1, text) of the addons; other fields are skipped. */
static v2_int_t
v2_vless_flow(const uint8_t *p, size_t len, char *flow)
{
    uint64_t        tag, n;
    const uint8_t  *end;

    end = p + len;
    flow[0] = '\0';

    while (p < end) {
        if (v2_vless_varint(&p, end, &tag) != V2_OK) {
            return V2_ERROR;
        }

        switch (tag & 7) {

        case 0:                             /* varint */
            if (v2_vless_varint(&p, end, &n) != V2_OK) {
                return V2_ERROR;
            }

            continue;

        case 1:                             /* 64 bits */
            n = 8;
            break;

        case 2:                             /* bytes */
            if (v2_vless_varint(&p, end, &n) != V2_OK) {
                return V2_ERROR;
            }

            break;

        case 5:                             /* 32 bits */
            n = 4;
            break;

        default:
            return V2_ERROR;
        }

        if (n > (uint64_t) (end - p)) {
            return V2_ERROR;
        }

        if (tag == (1 << 3 | 2)) {
            n = v2_min(n, (uint64_t) V2_VLESS_FLOW_MAX - 1);
            memcpy(flow, p, n);
            flow[n] = '\0';
        }

        p += n;
    }

    return V2_OK;
}


static v2_int_t
v2_vless_varint(const uint8_t **p, const uint8_t *end, uint64_t *value)
{
    unsigned  shift;

    *value = 0;

    for (shift = 0; shift < 64 && *p < end; shift += 7) {
        *value |= (uint64_t) (**p & 0x7f) << shift;

        if (!(*(*p)++ & 0x80)) {
            return V2_OK;
        }
    }

    return V2_ERROR;
}


/* Port, then address (protocols.md 0.1, table PA). */
static v2_int_t
v2_vless_address(v2_req_t *req, v2_vless_cur_t *cur)
{
    size_t      n;
    uint8_t     type;
    v2_dest_t  *dest;

    dest = &req->dest;

    if (cur->end - cur->p < 3) {
        return V2_AGAIN;
    }

    dest->port = (uint16_t) (cur->p[0] << 8 | cur->p[1]);
    type = cur->p[2];
    cur->p += 3;

    switch (type) {

    case V2_VLESS_IPV4:
        n = 4;
        break;

    case V2_VLESS_IPV6:
        n = 16;
        break;

    case V2_VLESS_DOMAIN:
        if (cur->end - cur->p < 1) {
            return V2_AGAIN;
        }

        n = *cur->p++;
        break;

    default:
        return v2_vless_refuse(req, "unknown address type");
    }

    if ((size_t) (cur->end - cur->p) < n) {
        return V2_AGAIN;
    }

    if (type == V2_VLESS_DOMAIN) {
        if (v2_dest_set_name(dest, (const char *) cur->p, n) != V2_OK) {
            return v2_vless_refuse(req, "malformed domain name");
        }

    } else {
        v2_addr_set(&dest->addr, cur->p, n);
        dest->addr.port = dest->port;
    }

    cur->p += n;

    return V2_OK;
}


static v2_int_t
v2_vless_refuse(v2_req_t *req, const char *why)
{
    req->why = why;
    req->refuse = V2_REFUSE_CLOSE;

    return V2_DECLINED;
}


/* u16 length and payload; one of length 0 yields nothing. */
static v2_int_t
v2_vless_packet(v2_chain_t *wire, v2_chain_t *app)
{
    size_t   n;
    uint8_t  len[2];

    if (v2_chain_peek(wire, len, 2) < 2) {
        return V2_AGAIN;
    }

    n = (size_t) len[0] << 8 | len[1];

    if (wire->bytes < 2 + n) {
        return V2_AGAIN;
    }

    (void) v2_chain_take(wire, 2);

    if (n == 0) {
        return V2_OK;
    }

    if (v2_chain_pull(wire, n) == NULL
        || v2_chain_move_n(app, wire, n) != V2_OK)
    {
        return V2_ERROR;
    }

    app->last->end = 1;

    return V2_OK;
}


static v2_int_t
v2_vless_out(v2_layer_t *ly, v2_chain_t *app, v2_chain_t *wire)
{
    uint8_t      head[4];
    uint32_t     n;
    v2_int_t     rc;
    v2_vless_t  *v;

    v = ly->state;
    n = 0;

    if (app->head == NULL) {
        return V2_AGAIN;
    }

    if (v->padded) {
        return v2_vless_vision(v, app, wire);
    }

    if (!v->responded) {
        head[n++] = V2_VLESS_VERSION;
        head[n++] = 0;                      /* no addons */
    }

    if (v->udp) {
        head[n++] = (uint8_t) (app->head->len >> 8);
        head[n++] = (uint8_t) app->head->len;
    }

    rc = v2_vless_frame(app, wire, head, n);
    if (rc != V2_OK) {
        return rc;
    }

    v->responded = 1;

    if (v->udp) {
        return V2_OK;
    }

    v2_chain_move(wire, app);

    return V2_PASS;
}


/* The response header and the user's id stand before the first block. */
static v2_int_t
v2_vless_vision(v2_vless_t *v, v2_chain_t *app, v2_chain_t *wire)
{
    size_t    n;
    uint8_t   front[2 + V2_VISION_ID];
    v2_int_t  rc;

    n = 0;

    if (!v->responded) {
        front[0] = V2_VLESS_VERSION;
        front[1] = 0;
        memcpy(front + 2, v->vision.id, V2_VISION_ID);
        n = sizeof(front);
    }

    rc = v2_vision_out(&v->vision, app, wire, front, n);

    if (wire->head) {
        v->responded = 1;
    }

    return rc;
}


/* Moves the first slice of app to wire with `head` in front of it: in the
 * room before its bytes when that is there and the buffer is not shared. */
static v2_int_t
v2_vless_frame(v2_chain_t *app, v2_chain_t *wire, const uint8_t *head,
    uint32_t len)
{
    v2_slice_t  *s;

    s = app->head;

    if (s->buf->refs > 1 || s->off < len) {
        if (v2_chain_copy(wire, head, len) != V2_OK) {
            return V2_YIELD;
        }

        len = 0;
    }

    if (v2_chain_move_n(wire, app, s->len) != V2_OK) {
        return V2_ERROR;
    }

    s = wire->last;

    if (len) {
        s->off -= len;
        s->len += len;
        wire->bytes += len;
        memcpy(v2_slice_data(s), head, len);
    }

    if (s->end) {

        /* a datagram no more: a frame in a stream, counted when whole */

        s->end = 0;
        s->addr = NULL;
        s->linear = 0;
    }

    return V2_OK;
}


/* A stream without any payload still gets its response header, but not in
 * Vision. */
static v2_int_t
v2_vless_end(v2_layer_t *ly, v2_chain_t *wire)
{
    static const uint8_t  head[2] = { V2_VLESS_VERSION, 0 };

    v2_vless_t  *v;

    v = ly->state;

    if (!v->ready || v->responded || v->udp || v->padded) {
        return V2_OK;
    }

    v->responded = 1;

    return v2_chain_copy(wire, head, sizeof(head));
}
