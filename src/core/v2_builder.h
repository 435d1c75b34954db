/* The builder: a short-lived child without rights that compiles one image. It
 * reads the job from the master's memory as it was at the fork, and files only
 * through descriptors that the master opened; it may write its self-signed
 * certificates into StateDir.
 *
 * Answers on its channel, before it ends with 0 (the image is whole) or not:
 *   V2_MSG_READY         node: it is in the image; arg 1: with the fresh
 *                        certificate, 0: with the old one
 *   V2_MSG_NODE_FAILED   node, text: it is not in the image
 *   V2_MSG_FAILED        text: there is no image */

#ifndef V2_BUILDER_H
#define V2_BUILDER_H

#include "v2_files.h"
#include "v2_proc.h"
#include "v2_spec.h"

typedef struct {
    uint32_t                slot;
    v2_addr_t               listen;
    const v2_spec_t        *spec;
    const v2_node_conf_t   *conf;
    const v2_pair_t        *fresh;      /* cert -1: none */
    const v2_pair_t        *good;       /* the one in use */
    int                     dir;        /* with test, where spec is NULL: the
                                         * folder of a local panel, or -1 */
} v2_builder_node_t;

typedef struct {
    int                  image;         /* memfd to fill; -1: only a check */
    uint32_t             serial;
    int                  route, outbound, dns;      /* -1: no such file */
    unsigned             test:1;        /* nothing is stored */
    uint32_t             nodes_n;
    v2_builder_node_t    nodes[V2_SHM_NODES];
} v2_builder_job_t;

/* arg of the start is the job. */
int  v2_builder_run(v2_start_t *st);

#endif
