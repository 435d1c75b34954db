/* User ids: hex form and name mapping. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_uuid.h"
#include "v2_crypt.h"

#define V2_UUID_NAME_MAX    30
#define V2_UUID_HEX_MIN     32
#define V2_UUID_HEX_MAX     36

static v2_int_t v2_uuid_name(const char *text, size_t len, uint8_t out[16]);
static int v2_uuid_nibble(char c);


v2_int_t
v2_uuid_parse(const char *text, uint8_t out[16])
{
    static const uint8_t  groups[] = { 4, 2, 2, 2, 6 };     /* bytes */

    int     hi, lo;
    size_t  len, g, i, n;

    len = strlen(text);

    if (len > 0 && len <= V2_UUID_NAME_MAX) {
        return v2_uuid_name(text, len, out);
    }

    if (len < V2_UUID_HEX_MIN || len > V2_UUID_HEX_MAX) {
        return V2_ERROR;
    }

    n = 0;

    for (g = 0; g < sizeof(groups); g++) {
        if (*text == '-') {
            text++;
        }

        for (i = 0; i < groups[g]; i++) {
            hi = v2_uuid_nibble(text[0]);
            lo = hi < 0 ? -1 : v2_uuid_nibble(text[1]);

            if (lo < 0) {
                return V2_ERROR;
            }

            out[n++] = (uint8_t) (hi << 4 | lo);
            text += 2;
        }
    }

    return V2_OK;
}


static v2_int_t
v2_uuid_name(const char *text, size_t len, uint8_t out[16])
{
    uint8_t  in[16 + V2_UUID_NAME_MAX], md[20];

    memset(in, 0, 16);
    memcpy(in + 16, text, len);

    if (v2_sha1(in, 16 + len, md) != V2_OK) {
        return V2_ERROR;
    }

    memcpy(out, md, 16);
    out[6] = (uint8_t) (0x50 | (out[6] & 0x0f));
    out[8] = (uint8_t) (0x80 | (out[8] & 0x3f));

    return V2_OK;
}


static int
v2_uuid_nibble(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c = (char) (c | 0x20);

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
