package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

// The part of JUnit's XML that the readers of it agree on.
type junitSuites struct {
	XMLName  xml.Name   `xml:"testsuites"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Time     string     `xml:"time,attr"`
	Suite    junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure,omitempty"`
	Error   *junitProblem `xml:"error,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
}

// WriteJUnit writes a test suite: a case that the run came to its end, those
// that nothing went wrong on the way, and one for each condition.
func WriteJUnit(w io.Writer, r *Run) error {
	r = r.visible()
	f, plan := r.Final, &r.Header.Plan
	class := "iotctl.bench." + plan.Scenario
	took := strconv.FormatFloat(f.At.Seconds(), 'f', 3, 64)
	s := junitSuite{
		Name: "iotctl bench " + plan.Scenario, Time: took,
		Timestamp: r.Header.Started.UTC().Format(time.RFC3339),
		Properties: []junitProperty{
			{"target", plan.Target},
			{"program", r.Header.Environment.Tool},
			{"measured_seconds", strconv.FormatFloat(f.Measured.Seconds(), 'f', 3, 64)},
			{"client_limited_intervals", fmt.Sprintf("%d of %d", f.LimitedIntervals, f.MeasureIntervals)},
		},
	}
	whole := junitCase{Class: class, Name: "the run is complete", Time: took}
	if err := r.Err(); err != nil {
		whole.Error = &junitProblem{err.Error(), "incomplete"}
		s.Errors++
	}
	s.Cases = append(s.Cases, whole)
	check := func(name, problem string) {
		c := junitCase{Class: class, Name: name, Time: "0"}
		if problem != "" {
			c.Failure = &junitProblem{problem, "trouble"}
			s.Failures++
		}
		s.Cases = append(s.Cases, c)
	}
	check("every connection was made and kept", connectionTrouble(f))
	if !r.CutOff && f.Account.Sum().Expected > 0 {
		check("the QoS was kept", qosTrouble(&f.Account))
	}
	for _, v := range f.Assertions {
		c := junitCase{Class: class, Name: v.Expression, Time: "0"}
		if !v.OK {
			c.Failure = &junitProblem{v.Expression + ": " + verdictValue(v), "missed"}
			s.Failures++
		}
		s.Cases = append(s.Cases, c)
	}
	s.Tests = len(s.Cases)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{Tests: s.Tests, Failures: s.Failures, Errors: s.Errors, Time: took, Suite: s}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func connectionTrouble(f *bench.Final) string {
	if f.Total.ConnectFails+f.Total.Disconnects == 0 {
		return ""
	}
	return fmt.Sprintf("%d connections failed, %d were lost", f.Total.ConnectFails, f.Total.Disconnects)
}

// qosTrouble is what QoS 1 and 2 forbid, and what no QoS allows.
func qosTrouble(a *bench.Account) string {
	lost, again, corrupted := a.QoS[1].Lost+a.QoS[2].Lost, a.QoS[2].Duplicated, a.Sum().Corrupted
	if lost+again+corrupted == 0 {
		return ""
	}
	return fmt.Sprintf("%d messages of QoS 1 and 2 were lost, %d of QoS 2 came again, %d were corrupted", lost, again, corrupted)
}
