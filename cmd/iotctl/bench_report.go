package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/bench/report"
)

// reportFormat is one of bench report's.
type reportFormat struct {
	name  string
	write func(t *terminal, w io.Writer, r *report.Run) error
}

// reportFormats is the table of what a recorded run can be turned into.
func reportFormats() []reportFormat {
	plain := func(write func(io.Writer, *report.Run) error) func(*terminal, io.Writer, *report.Run) error {
		return func(_ *terminal, w io.Writer, r *report.Run) error { return write(w, r) }
	}
	return []reportFormat{
		{"text", writeReportText},
		{"json", plain(report.WriteJSON)},
		{"csv", plain(report.WriteCSV)},
		{"html", plain(report.WriteHTML)},
		{"junit", plain(report.WriteJUnit)},
		{"prometheus", nil}, // reads the record itself
	}
}

func writeReportText(t *terminal, w io.Writer, r *report.Run) error {
	colored := t.colorOut && w == t.out
	return report.WriteText(w, r, func(m bench.Mood, s string) string { return moodColor(colored, m, s) })
}

// reportOptions is the command line of `iotctl bench report`.
type reportOptions struct{ format, out string }

func newBenchReport() *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report file [options]",
		Short: "Turn a recorded run into text, JSON, CSV or a page with charts",
		Long: `Reads what iotctl bench -o has recorded; - is standard input. A run that was cut
off, by a full disk or by kill -9, is reported as far as it goes and is said to
be one.

  text         the summary that the run ended with
  json         everything, with percentiles of each interval; times and
               latencies in nanoseconds
  csv          a line for each interval
  html         one page with charts that needs no network
  junit        the conditions of --assert as test cases
  prometheus   the state at the end in Prometheus' text format

Without --format, the name that -o gives decides: .json, .csv, .html, .xml and
.prom; or else it is text.`,
		Example: `  iotctl bench pair --serve --duration 30s -o run.res
  iotctl bench report run.res -o run.html
  iotctl bench report run.res --format csv | column -s, -t
  iotctl bench report run.res --format json | jq '.latency.e2e."p99.9" / 1e6'`,
		Args: oneRecord,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBenchReport(newTerminal(cmd), &o, args[0])
		},
		DisableFlagsInUseLine: true,
	}
	var names []string
	for _, f := range reportFormats() {
		names = append(names, f.name)
	}
	cmd.Flags().StringVarP(&o.format, "format", "f", "", "`one` of "+strings.Join(names, ", "))
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "write to this `file` instead of standard output")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func oneRecord(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return fail(exitUsage, errors.New("which recorded run? one is made with -o"), "iotctl bench pair --serve -o run.res")
	case 1:
		return nil
	}
	return fail(exitUsage, fmt.Errorf("%s takes one file, and %q is another", cmd.CommandPath(), args[1]), "iotctl bench compare --help")
}

// reportSuffixes are the formats by the name of the output.
var reportSuffixes = map[string]string{".json": "json", ".csv": "csv", ".html": "html", ".htm": "html", ".xml": "junit", ".prom": "prometheus"}

// find settles the format.
func (o *reportOptions) find() (reportFormat, error) {
	name := firstOf(o.format, firstOf(reportSuffixes[strings.ToLower(filepath.Ext(o.out))], "text"))
	var names []string
	for _, f := range reportFormats() {
		if f.name == name {
			return f, nil
		}
		names = append(names, f.name)
	}
	return reportFormat{}, usagef("--format %q: must be one of %s", name, strings.Join(names, ", "))
}

func runBenchReport(t *terminal, o *reportOptions, name string) error {
	f, err := o.find()
	if err != nil {
		return err
	}
	write := func(w io.Writer) error {
		in, err := openRecord(t, name)
		if err != nil {
			return err
		}
		defer in.Close()
		if f.write == nil {
			m, err := report.ReadMetrics(in)
			if err != nil {
				return failRecord(name, err)
			}
			return m.Write(w)
		}
		run, err := report.Read(name, in)
		if err != nil {
			return failRecord(name, err)
		}
		if err := run.Err(); err != nil {
			t.warnf("%s: %v", name, err)
		}
		return f.write(t, w, run)
	}
	if o.out == "" || o.out == "-" {
		return write(t.out)
	}
	return replaceFile(o.out, write)
}

// openRecord opens a recorded run, - for standard input.
func openRecord(t *terminal, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(t.in), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	return f, nil
}

// failRecord gives an error of reading a run its exit code.
func failRecord(name string, err error) error {
	var hints []string
	if errors.Is(err, bench.ErrNoResult) {
		hints = append(hints, "iotctl bench pair --serve -o run.res")
	}
	return fail(exitMalformed, fmt.Errorf("%s: %w", name, err), hints...)
}

// replaceFile writes a file that is never seen half: what was there stays until
// the new one is whole.
func replaceFile(name string, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0) // a terminal, a pipe, /dev/stdout
		if err != nil {
			return fail(exitFailed, err)
		}
		return errors.Join(write(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fail(exitFailed, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
