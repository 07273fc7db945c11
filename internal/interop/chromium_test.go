//go:build unix

package interop

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestMQTTJSInChromium runs the scenarios in a page that the test serves and
// that posts what it saw back to the test.
func TestMQTTJSInChromium(t *testing.T) {
	program := tool(t, "chromium", "chromium-browser", "google-chrome")
	module := installMQTTJS(t)
	jobs := matrix(startBroker(t), "ws", "wss")
	page := servePage(t, module, jobs)
	ended, said := startChromium(t, program, page.url)
	select {
	case outcomes := <-page.outcomes:
		checkAll(t, jobs, outcomes)
	case failure := <-page.failures:
		t.Fatal(failure)
	case <-ended:
		t.Fatalf("the browser ended early:\n%s", said)
	case <-time.After(3 * time.Minute):
		t.Fatalf("the page does not answer; the browser says:\n%s", said)
	}
}

type page struct {
	url      string
	outcomes chan []outcome
	failures chan string
}

func servePage(t *testing.T, module string, jobs []job) page {
	t.Helper()
	p := page{outcomes: make(chan []outcome, 1), failures: make(chan string, 8)}
	mux := http.NewServeMux()
	serve := func(pattern, file string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	}
	serve("GET /{$}", "testdata/js/page.html")
	serve("GET /scenario.js", "testdata/js/scenario.js")
	serve("GET /mqtt.min.js", filepath.Join(module, "dist", "mqtt.min.js"))
	mux.HandleFunc("GET /jobs", func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(jobs); err != nil {
			p.failures <- err.Error()
		}
	})
	mux.HandleFunc("POST /outcomes", func(_ http.ResponseWriter, r *http.Request) {
		var outcomes []outcome
		if err := json.NewDecoder(r.Body).Decode(&outcomes); err != nil {
			p.failures <- err.Error()
			return
		}
		p.outcomes <- outcomes
	})
	mux.HandleFunc("POST /failure", func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		p.failures <- errors.Join(errors.New(string(b)), err).Error()
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// startChromium returns a channel that is closed when the browser has ended,
// and what it said until then.
func startChromium(t *testing.T, program, url string) (<-chan struct{}, *output) {
	t.Helper()
	profile, err := os.MkdirTemp("", "interop") // not t.TempDir: the browser writes to the last
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program,
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--no-default-browser-check", "--disable-extensions",
		"--disable-background-networking", "--disable-component-update", "--disable-default-apps",
		"--disable-sync", "--disable-domain-reliability", "--metrics-recording-only",
		"--ignore-certificate-errors", // the authority is the test's own
		"--user-data-dir="+profile, "--remote-debugging-port=0", url)
	said := new(output)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = 5 * time.Second // helpers that outlive the browser hold its output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // killed, usually
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		os.RemoveAll(profile)
	})
	return ended, said
}
