package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fatih/color"

	"github.com/iotctl/iotctl/internal/doctor"
)

// The columns of doctor's text.
const (
	doctorWidth = 80
	verdictAt   = 9
	doctorText  = verdictAt + 11 // where sentences begin
)

// doctorView prints results as they come, but what is skipped for one reason in
// a row together. Its first error stays.
type doctorView struct {
	waiting []doctor.Result
	t       *terminal
	target  string
	err     error
}

func (v *doctorView) print(format string, a ...any) {
	if v.err == nil {
		_, v.err = fmt.Fprintf(v.t.out, format, a...)
	}
}

func (v *doctorView) begin() {
	v.print("%s\n\n", v.target)
}

var verdictColors = map[doctor.Verdict]color.Attribute{
	doctor.OK: color.FgGreen, doctor.Warning: color.FgYellow, doctor.Failed: color.FgRed, doctor.Skipped: color.FgHiBlack,
}

func (v *doctorView) result(r doctor.Result) {
	if len(v.waiting) > 0 && (r.Verdict != doctor.Skipped || r.Summary != v.waiting[0].Summary) {
		v.flush()
	}
	if r.Verdict == doctor.Skipped {
		v.waiting = append(v.waiting, r)
		return
	}
	v.show(r)
}

// flush prints what was skipped.
func (v *doctorView) flush() {
	if len(v.waiting) == 0 {
		return
	}
	r := v.waiting[0]
	if n := len(v.waiting); n > 1 {
		names := make([]string, n)
		for i, x := range v.waiting {
			names[i] = x.Check
		}
		r.Check, r.Summary = fmt.Sprintf("%d checks", n), r.Summary+": "+strings.Join(names, ", ")
	}
	v.waiting = nil
	v.show(r)
}

func (v *doctorView) show(r doctor.Result) {
	verdict := paint(v.t.colorOut, verdictColors[r.Verdict], string(r.Verdict))
	head := verdict + strings.Repeat(" ", verdictAt-len(r.Verdict)) + fmt.Sprintf("%-*s", doctorText-verdictAt, r.Check)
	indent := strings.Repeat(" ", doctorText)
	for _, line := range folded(r.Summary, doctorWidth-doctorText) {
		v.print("%s%s\n", head, line)
		head = indent
	}
	for _, d := range r.Details {
		for _, line := range folded(d, doctorWidth-doctorText) {
			v.print("%s%s\n", indent, line)
		}
	}
	if r.Hint == "" {
		return
	}
	label := "hint:"
	for i, line := range folded(label+" "+r.Hint, doctorWidth-doctorText) {
		if i == 0 {
			line = paint(v.t.colorOut, color.FgCyan, label) + strings.TrimPrefix(line, label)
		}
		v.print("%s%s\n", indent, line)
	}
}

func (v *doctorView) end(r *doctor.Report) error {
	v.flush()
	n := map[doctor.Verdict]int{}
	for _, x := range r.Results {
		n[x.Verdict]++
	}
	plural := map[bool]string{true: "", false: "s"}[n[doctor.Warning] == 1]
	v.print("\n%d ok, %d warning%s, %d failed, %d skipped, in %.1f s\n", n[doctor.OK], n[doctor.Warning], plural, n[doctor.Failed], n[doctor.Skipped], r.Took.Seconds())
	return v.err
}

// folded breaks a sentence at blanks; words that are longer than a line are cut.
func folded(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) <= width {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		r := []rune(word)
		for ; len(r) > width; r = r[width:] {
			lines = append(lines, string(r[:width]))
		}
		line = string(r)
	}
	return append(lines, line)
}

// doctorJSON is the form of -o json. Members are added, and never change.
type doctorJSON struct {
	Doctor  int               `json:"doctor"`
	URL     string            `json:"url"`
	Prefix  string            `json:"prefix"`
	Version string            `json:"mqtt_version,omitempty"`
	Verdict doctor.Verdict    `json:"verdict"`
	Started string            `json:"started"`
	TookMS  float64           `json:"took_ms"`
	Checks  []doctorCheckJSON `json:"checks"`
}

type doctorCheckJSON struct {
	Check   string         `json:"check"`
	Verdict doctor.Verdict `json:"verdict"`
	Summary string         `json:"summary"`
	Details []string       `json:"details,omitempty"`
	Hint    string         `json:"hint,omitempty"`
	Cause   doctor.Cause   `json:"cause,omitempty"`
	TookMS  float64        `json:"took_ms"`
	Figures doctorFigures  `json:"figures,omitempty"`
}

// doctorFigures is an object in the order of the check.
type doctorFigures []doctor.Figure

// MarshalJSON implements json.Marshaler.
func (f doctorFigures) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, x := range f {
		if i > 0 {
			b = append(b, ',')
		}
		name, _ := json.Marshal(x.Name)
		value, err := json.Marshal(x.Value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}

func writeDoctorJSON(w io.Writer, r *doctor.Report) error {
	out := doctorJSON{
		Doctor: 1, URL: r.URL, Prefix: r.Prefix, Verdict: r.Verdict(),
		Started: r.Started.UTC().Format(time.RFC3339Nano), TookMS: milliseconds(r.Took), Checks: []doctorCheckJSON{},
	}
	if r.Version != 0 {
		out.Version = r.Version.String()
	}
	for _, x := range r.Results {
		out.Checks = append(out.Checks, doctorCheckJSON{
			Check: x.Check, Verdict: cmp.Or(x.Verdict, doctor.Skipped), Summary: x.Summary, Details: x.Details, Hint: x.Hint, Cause: x.Cause,
			TookMS: milliseconds(x.Took), Figures: x.Figures,
		})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
