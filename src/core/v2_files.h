/* Files that the master opens with its rights for processes that have none:
 * whole small files as sealed memfds, logs and report files as they are. A
 * file is known by device, inode, size and mtime, so that a renewed
 * certificate is noticed without reading it. */

#ifndef V2_FILES_H
#define V2_FILES_H

#include "v2_conf.h"
#include "v2_rights.h"

#define V2_FILE_MAX         (32u << 20)

typedef struct {
    uint64_t    dev, ino, size;
    int64_t     mtime_ns;           /* all 0: no such file */
} v2_file_id_t;

/* The two files of a certificate. fd -1: not there. */
typedef struct {
    v2_file_id_t    cert_id, key_id;
    int             cert, key;
} v2_pair_t;

/* Copies a regular file into a memfd sealed against all changes. Returns it,
 * or -1 with errno set and nothing logged (id is of what there is). */
int       v2_file_load(const char *path, v2_file_id_t *id);
/* Is the file another one now? */
int       v2_file_changed(const char *path, const v2_file_id_t *id);

/* Text into a sealed memfd; -1: logged. */
int       v2_file_text(const char *name, const char *text, size_t len);
/* Seals a memfd for ever. V2_ERROR: logged. */
v2_int_t  v2_file_seal(int fd);

void      v2_pair_init(v2_pair_t *p);
/* Loads both. V2_ERROR: one line in why; nothing is open then, and the ids are
 * those of the files as they are. */
v2_int_t  v2_pair_load(v2_pair_t *p, const v2_node_conf_t *node, char *why,
    size_t size);
void      v2_pair_close(v2_pair_t *p);

/* Opens a log for appending, made with owner r when it is not there. -1:
 * logged. */
int       v2_file_log(const v2_rights_t *r, const char *path);

/* Opens the folder and the two report files of a `file:` panel; all -1 when
 * the folder is not there. V2_ERROR: one line in why. */
v2_int_t  v2_file_panel(const char *dir, int fds[3], char *why, size_t size);

#endif
