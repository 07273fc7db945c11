//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// TestClientScripts runs the scripts of testdata/script that are not about
// serve or store. Beside testscript's own commands they have
//
//	broker [ARGUMENT…]  run iotctl serve until the script ends; sets URL and PORT,
//	                    and of --listen emqtcp:// EMQTCP_URL
//	tlsbroker           the same with TLS
//	passwd, exits       as for TestServeScripts
//	signal NAME         signal that process
//	await FILE          wait for a file
//	background, ended   run clients in the background: see backgrounds
//
// and the certificates of TestServeScripts in $CERTS. Scripts that begin with
// alsoMosquitto run a second time.
func TestClientScripts(t *testing.T) {
	all, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, f := range all {
		if !strings.HasPrefix(filepath.Base(f), "serve") && !strings.HasPrefix(filepath.Base(f), "store") && !strings.HasPrefix(filepath.Base(f), "proxytools") {
			files = append(files, f)
		}
	}
	runScripts(t, files, clientScriptCommands(scriptBroker))
}

// alsoMosquitto begins the scripts that need no broker of ours.
const alsoMosquitto = "# Runs with mosquitto, too.\n"

// TestClientScriptsWithMosquitto runs the scripts that say so once more: broker
// starts mosquitto.
func TestClientScriptsWithMosquitto(t *testing.T) {
	all, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := slices.DeleteFunc(all, func(name string) bool {
		b, err := os.ReadFile(name)
		return err != nil || !strings.HasPrefix(string(b), alsoMosquitto)
	})
	if len(files) == 0 {
		t.Fatal("no script runs with mosquitto")
	}
	runScripts(t, files, clientScriptCommands(func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) > 0 {
			ts.Fatalf("usage: broker")
		}
		port := startBroker(t)
		ts.Setenv("PORT", port)
		ts.Setenv("URL", "mqtt://127.0.0.1:"+port)
	}))
}

// clientScriptCommands are the commands of the scripts of clients.
func clientScriptCommands(broker func(*testscript.TestScript, bool, []string)) map[string]func(*testscript.TestScript, bool, []string) {
	var running backgrounds
	return map[string]func(*testscript.TestScript, bool, []string){
		"broker":     broker,
		"tlsbroker":  scriptTLSBroker,
		"passwd":     scriptPasswd,
		"signal":     scriptSignal,
		"exits":      scriptExits,
		"await":      scriptAwait,
		"background": running.start,
		"ended":      running.end,
	}
}

// runScripts runs files with certificates in $CERTS and commands of their own.
func runScripts(t *testing.T, files []string, cmds map[string]func(*testscript.TestScript, bool, []string)) {
	t.Helper()
	ca := transporttest.NewCA(t, "authority")
	testscript.Run(t, testscript.Params{
		Files:              files,
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			return writeCertificates(t, e, ca)
		},
		Cmds: cmds,
	})
}

func scriptBroker(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: broker [ARGUMENT…]")
	}
	runBroker(ts, append([]string{"--listen", "mqtt://127.0.0.1:0"}, args...))
}

func scriptTLSBroker(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: tlsbroker [ARGUMENT…]")
	}
	certs := ts.Getenv("CERTS")
	runBroker(ts, append([]string{"--listen", "mqtts://127.0.0.1:0", "--cert", certs + "/server.pem", "--key", certs + "/server.key"}, args...))
}

func runBroker(ts *testscript.TestScript, args []string) {
	list := ts.MkAbs("broker.ports")
	cmd := exec.Command("iotctl", append([]string{"serve", "--ports", list}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	state, err := os.MkdirTemp(ts.MkAbs("."), "state")
	ts.Check(err)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+state, "XDG_RUNTIME_DIR="+state)
	var log strings.Builder
	cmd.Stderr = &log
	ts.Check(cmd.Start())
	ts.Defer(func() {
		ts.Check(errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()))
		if strings.Contains(log.String(), "panic") {
			ts.Fatalf("%s", log.String())
		}
	})
	await(ts, list)
	b, err := os.ReadFile(list)
	ts.Check(err)
	var ports []serve.Port
	ts.Check(errors.Join(json.Unmarshal(b, &ports), os.Remove(list)))
	ts.Setenv("URL", ports[0].URL)
	_, port, _ := strings.Cut(ports[0].Address, ":")
	ts.Setenv("PORT", port)
	for _, p := range ports[1:] {
		scheme, _, _ := strings.Cut(p.URL, "://")
		ts.Setenv(strings.ToUpper(scheme)+"_URL", p.URL)
	}
}
