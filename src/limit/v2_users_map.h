/* A compact map from a hash to record numbers, 8 bytes an entry: how the
 * writer of users finds again what it wrote. Private memory of one process. */

#ifndef V2_USERS_MAP_H
#define V2_USERS_MAP_H

typedef struct {
    uint32_t         tag;               /* the hash */
    uint32_t         ref;               /* the number + 1, 0: empty */
} v2_map_entry_t;

typedef struct {
    v2_map_entry_t  *entries;
    uint32_t         mask;              /* entries - 1 */
    uint32_t         used;
} v2_map_t;

v2_int_t  v2_map_init(v2_map_t *m);         /* V2_ERROR: no memory (logged) */
void      v2_map_done(v2_map_t *m);

/* The numbers under a hash, one after the other, V2_NONE at the end; the
 * caller looks which is his. *at is the walk's place. */
uint32_t  v2_map_first(const v2_map_t *m, uint32_t hash, uint32_t *at);
uint32_t  v2_map_next(const v2_map_t *m, uint32_t hash, uint32_t *at);

/* V2_ERROR: no memory (logged), nothing changed. */
v2_int_t  v2_map_add(v2_map_t *m, uint32_t hash, uint32_t number);
void      v2_map_del(v2_map_t *m, uint32_t hash, uint32_t number);

#endif
