//go:build unix

package interop

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 30 * time.Second

func TestMosquittoClients(t *testing.T) {
	tool(t, "mosquitto_pub")
	tool(t, "mosquitto_sub")
	tool(t, "stdbuf")
	b := startBroker(t)
	for _, j := range matrix(b, "tcp", "tls", "unix") {
		t.Run(j.name(), func(t *testing.T) {
			t.Parallel()
			m := mosquitto{job: j, subs: make(map[string]*mosquittoSub), pending: make(map[string]step)}
			o := outcome{ID: j.ID}
			if err := m.run(t); err != nil {
				o.Error = err.Error()
			}
			o.Received = m.received()
			check(t, j, o)
		})
	}
}

// mosquitto interprets steps: a process per subscriber, which connects when
// the client first subscribes, and a process per message.
type mosquitto struct {
	job     job
	pending map[string]step          // connect steps by client
	subs    map[string]*mosquittoSub // the latest process by client
	past    []*mosquittoSub
}

func (m *mosquitto) run(t *testing.T) error {
	for i, s := range m.job.Steps {
		var err error
		switch s.Do {
		case "connect":
			m.pending[s.Client] = s
		case "subscribe":
			next := m.job.Steps[i+1]
			err = m.subscribe(t, s, next.Client == s.Client && next.Do == "disconnect")
		case "publish":
			err = m.publish(t, s)
		case "await":
			err = m.subs[s.Client].await(s.Count)
		case "drop":
			err = m.kill(s.Client)
		case "disconnect":
			err = m.ended(s.Client)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", s.Client, s.Do, err)
		}
	}
	return nil
}

func (m *mosquitto) options(client string) []string {
	j := m.job
	args := []string{"-i", j.ID + client, "-V", map[version]string{v31: "31", v311: "311", v5: "5"}[j.Version]}
	if j.Transport == "unix" {
		args = append(args, "--unix", j.Socket)
	} else {
		args = append(args, "-h", j.Host, "-p", strconv.Itoa(j.Port))
	}
	if j.CA != "" {
		args = append(args, "--cafile", j.CA)
	}
	return args
}

// subscribe starts a process. One that leaves does so by itself: a signal can
// reach mosquitto_sub while it holds the lock of its log, where it then hangs.
func (m *mosquitto) subscribe(t *testing.T, s step, leaves bool) error {
	args := append([]string{"-oL", "mosquitto_sub"}, m.options(s.Client)...)
	args = append(args, "-d", "-q", strconv.Itoa(s.QoS), "-F", "MSG|%q|%r|%x|%t|%P")
	for _, f := range s.Filters {
		args = append(args, "-t", f)
	}
	for _, f := range s.Unsubscribe {
		args = append(args, "-U", f)
	}
	if leaves {
		args = append(args, "-E")
	}
	c := m.pending[s.Client]
	if c.Persistent {
		args = append(args, "-c")
	}
	if c.Will != nil {
		payload, err := hex.DecodeString(c.Will.Payload)
		if err != nil {
			return err
		}
		args = append(args, "--will-topic", c.Will.Topic, "--will-payload", string(payload), "--will-qos", strconv.Itoa(c.Will.QoS))
	}
	sub := &mosquittoSub{cmd: exec.Command("stdbuf", args...), client: s.Client, done: make(chan struct{})}
	sub.changed = sync.NewCond(&sub.mu)
	out, err := sub.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	sub.cmd.Stderr = sub.cmd.Stdout
	if err := sub.cmd.Start(); err != nil {
		return err
	}
	t.Cleanup(func() {
		sub.cmd.Process.Kill()
		<-sub.done
	})
	m.subs[s.Client] = sub
	go sub.read(bufio.NewReaderSize(out, 1<<20))
	ready := "received SUBACK"
	if len(s.Unsubscribe) > 0 {
		ready = "received UNSUBACK"
	}
	return sub.wait(ready, func() bool { return strings.Contains(sub.log.String(), ready) })
}

func (m *mosquitto) publish(t *testing.T, s step) error {
	args := append(m.options(s.Client), "-t", s.Message.Topic, "-q", strconv.Itoa(s.Message.QoS))
	payload, err := hex.DecodeString(s.Message.Payload)
	if err != nil {
		return err
	}
	if len(payload) == 0 {
		args = append(args, "-n")
	} else {
		args = append(args, "-s")
	}
	if s.Message.Retain {
		args = append(args, "-r")
	}
	for _, p := range s.Message.UserProperties {
		args = append(args, "-D", "publish", "user-property", p[0], p[1])
	}
	cmd := exec.CommandContext(t.Context(), "mosquitto_pub", args...)
	cmd.Stdin = bytes.NewReader(payload)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (m *mosquitto) kill(client string) error {
	sub := m.subs[client]
	if err := sub.cmd.Process.Kill(); err != nil {
		return err
	}
	return m.ended(client)
}

// ended waits for the process to end and keeps what it received.
func (m *mosquitto) ended(client string) error {
	sub := m.subs[client]
	select {
	case <-sub.done:
	case <-time.After(patience):
		return errors.New("mosquitto_sub does not end")
	}
	m.past = append(m.past, sub)
	delete(m.subs, client)
	return nil
}

func (m *mosquitto) received() map[string][]publication {
	all := make(map[string][]publication)
	for _, sub := range m.past {
		all[sub.client] = append(all[sub.client], sub.messages...)
	}
	for _, sub := range m.subs {
		sub.mu.Lock()
		all[sub.client] = append(all[sub.client], sub.messages...)
		sub.mu.Unlock()
	}
	return all
}

// mosquittoSub is one running mosquitto_sub, whose output is messages between
// debug lines.
type mosquittoSub struct {
	cmd    *exec.Cmd
	client string
	done   chan struct{} // closed when the process has ended

	mu       sync.Mutex
	changed  *sync.Cond
	messages []publication
	log      strings.Builder // everything else
	ended    bool
}

func (sub *mosquittoSub) read(r *bufio.Reader) {
	defer close(sub.done)
	for {
		line, err := r.ReadString('\n')
		sub.mu.Lock()
		if rest, ok := strings.CutPrefix(line, "MSG|"); ok {
			sub.messages = append(sub.messages, parseMosquitto(strings.TrimSuffix(rest, "\n")))
		} else {
			sub.log.WriteString(line)
		}
		sub.ended = err != nil
		sub.changed.Broadcast()
		sub.mu.Unlock()
		if err != nil {
			break
		}
	}
	_ = sub.cmd.Wait() // ended by a signal, mostly
}

// parseMosquitto reads QoS, retain, payload, topic and user properties.
func parseMosquitto(line string) publication {
	f := strings.SplitN(line, "|", 5)
	if len(f) < 5 {
		return publication{Topic: "not understood: " + line}
	}
	qos, _ := strconv.Atoi(f[0])
	p := publication{Topic: f[3], Payload: f[2], QoS: qos, Retain: f[1] == "1"}
	for _, kv := range strings.Fields(f[4]) {
		k, v, _ := strings.Cut(kv, ":")
		p.UserProperties = append(p.UserProperties, [2]string{k, v})
	}
	return p
}

func (sub *mosquittoSub) await(count int) error {
	return sub.wait(fmt.Sprintf("%d messages", count), func() bool { return len(sub.messages) >= count })
}

func (sub *mosquittoSub) wait(what string, done func() bool) error {
	deadline := time.AfterFunc(patience, func() {
		sub.mu.Lock()
		defer sub.mu.Unlock()
		sub.ended = true
		sub.changed.Broadcast()
	})
	defer deadline.Stop()
	sub.mu.Lock()
	defer sub.mu.Unlock()
	for !done() {
		if sub.ended {
			return fmt.Errorf("no %s from mosquitto_sub, which said:\n%s", what, sub.log.String())
		}
		sub.changed.Wait()
	}
	return nil
}
