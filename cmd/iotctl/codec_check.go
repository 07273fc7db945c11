package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/codec/frame"
)

func newCodecCheck() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check codec...",
		Short: "Run the tests that a definition contains",
		Long: `Reads a definition, a file or one that comes with the program, and runs its
tests: each frame is split, checked and decoded, and what is answered is
compared byte by byte. Bytes that differ are marked, with the part of the
template that has made them. What no test has reached is listed.

It ends with 0 when every test passes, with 1 when one fails or there is none,
and with 5 when the file is not a definition; then every mistake is told with its
line, with --json as mistakes. serve refuses a file that does not pass. - stands
for standard input.`,
		Example: `  iotctl codec check thermometer.yaml
  iotctl codec new thermometer -o - | iotctl codec check -
  iotctl codec check gt06 --json | jq .unused`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fail(exitUsage, errors.New("which codec? a file, or a name"), "iotctl codec list")
			}
			return nil
		},
		ValidArgsFunction: completeCodecs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCodecCheck(newTerminal(cmd), args, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per codec")
	return cmd
}

func runCodecCheck(t *terminal, args []string, asJSON bool) error {
	var worst error
	for _, arg := range args {
		err := checkCodec(t, arg, asJSON)
		if codeOf(err) > codeOf(worst) {
			if worst != nil {
				t.report(worst)
			}
			worst = err
		} else if err != nil {
			t.report(err)
		}
	}
	return worst
}

func checkCodec(t *terminal, arg string, asJSON bool) error {
	src, name, err := readCodec(t, arg)
	if err != nil {
		return err
	}
	codec, err := frame.Parse(name, src)
	if err != nil {
		return malformedCodec(t, name, err, asJSON)
	}
	report := codec.Check()
	if asJSON {
		err = json.NewEncoder(t.out).Encode(reportJSON(name, report))
	} else {
		err = writeCodecReport(t.out, name, report, t.colorOut)
	}
	if err != nil {
		return err
	}
	if len(report.Vectors) == 0 {
		return fail(exitFailed, fmt.Errorf("%s has no tests, so nothing says that it is right", name),
			"add tests: with frames of the device; iotctl help definitions")
	}
	if failed := failures(report); failed > 0 {
		return fail(exitFailed, fmt.Errorf("%s: %s of %d failed", name, counted(failed, "test"), len(report.Vectors)))
	}
	return nil
}

// malformedCodec tells everything that is wrong with a file.
func malformedCodec(t *terminal, name string, err error, asJSON bool) error {
	all := joinedIn(err)
	if asJSON {
		out := checkedCodec{File: name, Tests: []checkedVector{}, Unreach: []unreached{}}
		for _, e := range all {
			out.Mistakes = append(out.Mistakes, mistakeIn(name, e))
		}
		if err := json.NewEncoder(t.out).Encode(out); err != nil {
			return err
		}
	} else {
		for _, e := range all {
			t.errorf("%v", e)
		}
	}
	return fail(exitMalformed, fmt.Errorf("%s is no definition: %s", name, counted(len(all), "mistake")), "iotctl help definitions")
}

// mistakeIn takes the line out of what is wrong with a file.
func mistakeIn(name string, err error) mistake {
	text := strings.TrimPrefix(err.Error(), name+":")
	if number, rest, ok := strings.Cut(text, ": "); ok {
		if line, err := strconv.Atoi(number); err == nil {
			return mistake{line, rest}
		}
	}
	return mistake{0, strings.TrimSpace(text)}
}

func failures(r *frame.Report) (n int) {
	for _, v := range r.Vectors {
		if len(v.Problems) > 0 {
			n++
		}
	}
	return n
}

// writeCodecReport is the report for people.
func writeCodecReport(w io.Writer, name string, r *frame.Report, colored bool) error {
	var b strings.Builder
	if failed := failures(r); failed == 0 {
		fmt.Fprintf(&b, "%s: %s passed\n", name, counted(len(r.Vectors), "test"))
	} else {
		fmt.Fprintf(&b, "%s: %d of %s passed\n", name, len(r.Vectors)-failed, counted(len(r.Vectors), "test"))
	}
	for _, v := range r.Vectors {
		if len(v.Problems) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s, line %d:\n", v.Name, v.Line)
		for _, p := range v.Problems {
			if !shownBelow(p, v.Bytes) {
				fmt.Fprintf(&b, "  %s\n", p)
			}
		}
		for _, c := range v.Bytes {
			writeComparison(&b, c, colored)
		}
	}
	if len(r.Unused) > 0 {
		b.WriteString("\nNo test reaches:\n")
	}
	for i, u := range r.Unused {
		if !slices.Contains(r.Unused[:i], u) {
			fmt.Fprintf(&b, "  line %-5d%s %s\n", u.Line, u.What, u.Name)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shownBelow reports whether a problem is one byte of what is compared anyway.
func shownBelow(problem string, compared []frame.Comparison) bool {
	return slices.ContainsFunc(compared, func(c frame.Comparison) bool { return strings.HasPrefix(problem, c.What+": byte ") })
}

// rowBytes is how many bytes stand in a row.
const rowBytes = 16

// writeComparison shows both sides in rows, the bytes that differ marked below,
// and what they are.
func writeComparison(b *strings.Builder, c frame.Comparison, colored bool) {
	fmt.Fprintf(b, "  %s:\n", c.What)
	long := max(len(c.Want), len(c.Got))
	for from := 0; from < long; from += rowBytes {
		to := min(from+rowBytes, long)
		var want, got, mark strings.Builder
		differ := false
		for i := from; i < to; i++ {
			x, y := byteAt(c.Want, i), byteAt(c.Got, i)
			under := "  "
			if x != y {
				differ, under = true, "^^"
			}
			want.WriteString(" " + x)
			got.WriteString(" " + paint(colored && x != y, color.FgRed, y))
			mark.WriteString(" " + under)
		}
		fmt.Fprintf(b, "    %4d  want%s\n", from, want.String())
		fmt.Fprintf(b, "          got %s\n", got.String())
		if differ {
			fmt.Fprintf(b, "              %s\n", strings.TrimRight(mark.String(), " "))
		}
	}
	for _, d := range differences(c) {
		fmt.Fprintf(b, "    %s\n", d)
	}
}

// byteAt is two digits, or two dashes behind the end.
func byteAt(b []byte, i int) string {
	if i >= len(b) {
		return "--"
	}
	return fmt.Sprintf("%02X", b[i])
}

// difference is a run of bytes that differ within one part of the template.
type difference struct {
	Offset int    `json:"offset"`
	By     string `json:"by"`
	Want   string `json:"want"`
	Got    string `json:"got"`
}

// String is "byte 5, serial: want 01, got 02".
func (d difference) String() string {
	return fmt.Sprintf("byte %d, %s: want %s, got %s", d.Offset, d.By, cmp.Or(d.Want, "nothing"), cmp.Or(d.Got, "nothing"))
}

// differences lists the runs of bytes that are not the same.
func differences(c frame.Comparison) []difference {
	var all []difference
	last := -2
	for i := range max(len(c.Want), len(c.Got)) {
		x, y := byteAt(c.Want, i), byteAt(c.Got, i)
		if x == y {
			continue
		}
		by := madeBy(c.Made, i)
		if last != i-1 || all[len(all)-1].By != by {
			all = append(all, difference{Offset: i, By: by})
		}
		d := &all[len(all)-1]
		if i < len(c.Want) {
			d.Want = strings.TrimPrefix(d.Want+" "+x, " ")
		}
		if i < len(c.Got) {
			d.Got = strings.TrimPrefix(d.Got+" "+y, " ")
		}
		last = i
	}
	return all
}

// madeBy names what a byte comes from.
func madeBy(made []frame.Made, i int) string {
	for _, m := range made {
		if m.Off <= i && i < m.Off+m.Len {
			return m.By
		}
	}
	return "no part"
}

// checkedCodec is the report for programs.
type checkedCodec struct {
	Codec    string          `json:"codec"`
	File     string          `json:"file"`
	Passed   bool            `json:"passed"`
	Mistakes []mistake       `json:"mistakes,omitempty"` // of a file that is no definition
	Tests    []checkedVector `json:"tests"`
	Unreach  []unreached     `json:"unused"`
}

type mistake struct {
	Line int    `json:"line,omitempty"`
	Text string `json:"text"`
}

type checkedVector struct {
	Name     string             `json:"name"`
	Line     int                `json:"line"`
	Passed   bool               `json:"passed"`
	Problems []string           `json:"problems,omitempty"`
	Bytes    []checkedDifferent `json:"bytes,omitempty"`
}

type checkedDifferent struct {
	What    string       `json:"what"`
	Want    string       `json:"want"`
	Got     string       `json:"got"`
	Differs []difference `json:"differs"`
}

type unreached struct {
	What string `json:"what"`
	Name string `json:"name"`
	Line int    `json:"line"`
}

func reportJSON(name string, r *frame.Report) checkedCodec {
	out := checkedCodec{Codec: r.Codec, File: name, Passed: r.Passed() && len(r.Vectors) > 0, Tests: []checkedVector{}, Unreach: []unreached{}}
	for _, v := range r.Vectors {
		cv := checkedVector{Name: v.Name, Line: v.Line, Passed: len(v.Problems) == 0, Problems: v.Problems}
		for _, c := range v.Bytes {
			cv.Bytes = append(cv.Bytes, checkedDifferent{
				What: c.What, Want: fmt.Sprintf("%x", c.Want), Got: fmt.Sprintf("%x", c.Got), Differs: differences(c),
			})
		}
		out.Tests = append(out.Tests, cv)
	}
	for _, u := range r.Unused {
		out.Unreach = append(out.Unreach, unreached{u.What, u.Name, u.Line})
	}
	return out
}
