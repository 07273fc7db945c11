//go:build unix

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// version is the protocol level: 3, 4 or 5.
type version int

const (
	v31  version = 3
	v311 version = 4
	v5   version = 5
)

var versions = []version{v31, v311, v5}

func (v version) String() string {
	return map[version]string{v31: "3.1", v311: "3.1.1", v5: "5.0"}[v]
}

// job is one scenario for one client program.
type job struct {
	ID        string  `json:"id"`
	Version   version `json:"version"`
	Transport string  `json:"transport"`
	Host      string  `json:"host,omitempty"`
	Port      int     `json:"port,omitempty"`
	Path      string  `json:"path,omitempty"`   // WebSocket
	Socket    string  `json:"socket,omitempty"` // unix
	CA        string  `json:"ca,omitempty"`     // file
	Steps     []step  `json:"steps"`

	scenario scenario
}

func (j job) name() string {
	return fmt.Sprintf("%s/%s/%s", j.Version, j.Transport, j.scenario.name)
}

// outcome is what a driver reports about a job.
type outcome struct {
	ID       string                   `json:"id"`
	Error    string                   `json:"error,omitempty"`
	Received map[string][]publication `json:"received"`
	Sessions map[string][]bool        `json:"sessions"` // session present, one per connect
}

// matrix lists the jobs of all versions and scenarios over the transports that
// a client has.
func matrix(b *broker, transports ...string) []job {
	var jobs []job
	for _, v := range versions {
		for _, transport := range transports {
			for _, s := range scenarios {
				if v < s.minimum {
					continue
				}
				j := job{ID: fmt.Sprintf("j%d", len(jobs)), Version: v, Transport: transport, scenario: s}
				b.address(&j)
				j.Steps = s.steps(j.ID)
				jobs = append(jobs, j)
			}
		}
	}
	return jobs
}

// check compares an outcome with what the scenario says.
func check(t *testing.T, j job, o outcome) {
	t.Helper()
	if o.Error != "" {
		t.Errorf("%s\nreceived so far: %v", o.Error, o.Received)
		return
	}
	for client, want := range j.scenario.want(j.ID) {
		if diff := cmp.Diff(want, o.Received[client]); diff != "" {
			t.Errorf("%s received (-want +got):\n%s", client, diff)
		}
	}
	for client, want := range j.scenario.sessions {
		if got, ok := o.Sessions[client]; ok && !slices.Equal(got, want) {
			t.Errorf("%s: session present %v, want %v", client, got, want)
		}
	}
}

// checkAll runs one subtest per job, for drivers that work off a whole matrix
// in one process.
func checkAll(t *testing.T, jobs []job, outcomes []outcome) {
	t.Helper()
	byID := make(map[string]outcome)
	for _, o := range outcomes {
		byID[o.ID] = o
	}
	for _, j := range jobs {
		t.Run(j.name(), func(t *testing.T) {
			o, ok := byID[j.ID]
			if !ok {
				t.Fatal("the client ended before this")
			}
			check(t, j, o)
		})
	}
}

// tool returns the path of the first program that is installed. Without any
// the test skips, or fails where every tool is required.
func tool(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
	}
	missing(t, fmt.Sprintf("%s is not installed", names[0]))
	return ""
}

func missing(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
