/* JSON as admins write it: comments and a comma behind the last member. For
 * config.json and for the rule files, which have the same form. */

#ifndef V2_CONF_JSON_H
#define V2_CONF_JSON_H

/* Turns both into spaces, in place; the length and all newlines stay, so that
 * a parser's line numbers are those of the file. 0, or the number of the line
 * where a comment begins that is not closed; it is gone then too. */
unsigned v2_conf_relax(char *text, size_t len);

/* The offset behind the string whose opening quote stands at i. */
size_t   v2_conf_string_end(const char *text, size_t len, size_t i);

#endif
