/* What the readers of the three Xray-format files share: a parsed text, one
 * place for the message, and the ways to look at JSON as Go's decoder does
 * (keys without regard to case, null is absent). Builder only. */

#ifndef V2_ROUTE_JSON_H
#define V2_ROUTE_JSON_H

#include "v2_route.h"

#include <jansson.h>

/* Where messages go and what they begin with. */
typedef struct {
    char         *why;
    size_t        size;
    const char   *key;                  /* "RouteConfigPath" */
    const char   *item;                 /* "rule", "outbound", or NULL */
    size_t        number;               /* of the item, from 1 */
    const char   *tag;                  /* its tag, or NULL */
} v2_route_msg_t;

/* Parses `text` after the relaxer took comments and trailing commas out of a
 * copy. NULL: the message is set. Owned by the caller. */
json_t    *v2_route_json_load(v2_route_msg_t *m, const char *text, size_t len);

/* Writes the message, "KEY: rule 2 "tag": ..." on one line. V2_ERROR. */
v2_int_t   v2_route_fail(v2_route_msg_t *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for one key, whose value is shown, cut to a few words. */
v2_int_t   v2_route_fail_value(v2_route_msg_t *m, const char *key,
    const json_t *value, const char *what);

/* The value of a key without regard to case, NULL: absent or null. */
json_t    *v2_route_json_get(json_t *object, const char *key);
/* null, "", [] and {}: what Go's decoder leaves at its default. */
int        v2_route_json_empty(const json_t *value);
/* The text of a value compared without regard to case; 0 if it is no text. */
int        v2_route_json_is(const json_t *value, const char *text);

/* A text "a, b" or a list of texts, one part a call of `put`; `part` is valid
 * during it. Stops at the first result that is not V2_OK and returns that;
 * V2_DECLINED: neither a text nor a list of texts, or a part is empty. */
v2_int_t   v2_route_json_list(const json_t *value,
    v2_int_t (*put)(void *owner, const char *part), void *owner);

/* v2_route_default.c: are these files the shipped ones? The first outbound is
 * the way of flows that no rule matches. */
v2_int_t   v2_route_outbounds(v2_route_msg_t *m, const char *text, size_t len,
    v2_route_way_t *way, const char **name);
v2_int_t   v2_route_dns(v2_route_msg_t *m, const char *text, size_t len);

#endif
