#!/usr/bin/perl

# Sizes against the bar: no function over 120 lines, no file over 900. The
# other numbers are printed so that one sees where they go.

use strict;
use warnings;

my ($max_function, $max_file) = (120, 900);
my ($faults, $lines, $comments, $asserts, $deep, $test_lines) = (0) x 6;
my (@functions, @files);

sub fault {
    print "$_[0]\n";
    $faults++;
}

# A function is in nginx's form: the name in the first column of the line
# before (or some lines before) a lone "{", until a lone "}".
sub scan {
    my ($file) = @_;
    my ($n, $start, $name, $from, $depth, $most) = (0, 0, '', 0, 0, 0);

    open my $in, '<', $file or die "$file: $!\n";
    my $comment = 0;

    while (my $s = <$in>) {
        $n++;
        chomp $s;
        $lines++;

        $comment = 1 if $s =~ m{^\s*/\*};
        $comments++ if $comment;
        $comment = 0 if $s =~ m{\*/};
        $asserts++ if $s =~ /\bv2_assert\(|_Static_assert|static_assert/;

        if (!$start) {
            if ($s =~ /^(\w+)\(/) {
                ($name, $from) = ($1, $n);
            }

            ($start, $depth, $most) = ($n, 0, 0) if $s eq '{';
            next;
        }

        my $code = $s;
        $code =~ s/"(\\.|[^"\\])*"|'(\\.|[^'\\])*'//g;
        $depth += () = $code =~ /\{/g;
        $depth -= () = $code =~ /\}/g;
        $most = $depth if $depth > $most;

        if ($s =~ /^\}/) {
            push @functions, [$n - ($from || $start) + 1, "$file:$from: $name"];
            $deep++ if $most > 4;
            $start = $from = 0;
        }
    }

    close $in;
    push @files, [$n, $file];
}

scan($_) for glob('src/*/*.c');
my ($source_lines, $source_comments) = ($lines, $comments);

for my $file (glob('t/*.t t/*/*.c t/*/*/*.c t/*/*/*.pm t/*/*.py t/*/*.pm')) {
    open my $in, '<', $file or next;
    $test_lines++ while <$in>;
    close $in;
}

exit 0 unless @functions;

for my $f (@functions) {
    fault("$f->[1] has $f->[0] lines, at most $max_function")
        if $f->[0] > $max_function;
}

for my $f (@files) {
    fault("$f->[1]:1: has $f->[0] lines, at most $max_file")
        if $f->[0] > $max_file;
}

for my $dir (glob('src/*')) {
    my @in = glob("$dir/*.[ch]");
    fault("$dir: holds " . @in . ' files, split it') if @in > 120;
}

my @sizes = sort { $b->[0] <=> $a->[0] } @functions;
my $n = @sizes;
my $over = grep { $_->[0] > 60 } @sizes;

printf "functions: %d, median %d, p95 %d, longest %d (%s), over 60: %.1f %%," .
       " deeper than 4: %.1f %%\n", $n, $sizes[$n / 2][0], $sizes[$n / 20][0],
       $sizes[0][0], $sizes[0][1], 100 * $over / $n, 100 * $deep / $n;

my @long = sort { $b->[0] <=> $a->[0] } @files;

printf "files: %d, median %d, longest %d (%s); comments %.1f %%, asserts" .
       " %.1f per 1000, test lines %.2f per line\n", scalar @long,
       $long[@long / 2][0], $long[0][0], $long[0][1],
       100 * $source_comments / $source_lines, 1000 * $asserts / $source_lines,
       $test_lines / $source_lines;

exit($faults ? 1 : 0);
