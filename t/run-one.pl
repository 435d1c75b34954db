#!/usr/bin/perl

# Runs one end-to-end test so that it cleans up behind itself when it is told
# to end, by the time limit of t/run-e2e.sh or from the terminal: END blocks
# run only after an exit, not after a signal. One signal counts; a second one
# would cut the clean-up short.

use strict;
use warnings;

my ($file) = @ARGV;

for my $signal (qw(TERM INT HUP)) {
    $SIG{$signal} = sub {
        $SIG{$_} = 'IGNORE' for qw(TERM INT HUP);
        print STDERR "# ended by SIG$signal\n";
        exit 1;
    };
}

$0 = $file;
@ARGV = ();
$file = "./$file" unless $file =~ m{^[./]};

unless (defined do $file) {
    die $@ if $@;
    die "$file: $!\n" if $! && !-r $file;
}
