/* The rights that a child gives up. Only a process started as root changes
 * its user; all give up their capabilities. */

#ifndef V2_RIGHTS_H
#define V2_RIGHTS_H

typedef struct {
    uid_t       uid;
    gid_t       gid;
    char        user[64];       /* for messages */
    unsigned    drop:1;         /* started as root: change to uid and gid */
} v2_rights_t;

/* user "": "v2sp" if there is one, else "nobody"; group "": the user's. Names
 * or numbers. V2_ERROR: logged. */
v2_int_t  v2_rights_find(v2_rights_t *r, const char *user, const char *group);

/* For ever: groups, group, user, capabilities; not dumpable, nothing gained by
 * exec. V2_ERROR: logged, and the process must end. */
v2_int_t  v2_rights_drop(const v2_rights_t *r);

/* May the user of r keep files in this folder? make: it is made (0700, owned by
 * him) when it is not there; else only where it would be made is looked at.
 * V2_ERROR: logged. */
v2_int_t  v2_rights_folder(const v2_rights_t *r, const char *path, int make);

#endif
