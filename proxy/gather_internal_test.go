package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"persona-sidecar/proxy/middleware"
)

// gathering returns a gather, and the client's end of its connection: nothing is written
// before the client reads.
func gathering(t *testing.T) (*gather, net.Conn) {
	ours, client := net.Pipe()
	t.Cleanup(func() { ours.Close(); client.Close() })
	return &gather{Conn: ours, on: true, kept: new(gathered)}, client
}

// All bytes arrive in their order, the last ones too when the connection is closed before
// the client has read any.
func TestGatherLosesNothing(t *testing.T) {
	t.Parallel()
	for _, sizes := range [][]int{
		{1}, {1, 2, 3}, {len(room{})}, {len(room{}) - 1, 1}, {len(room{}) + 1}, {16406, 31, 16406, 31}, {200_000}, {1, 200_000, 1}, {},
	} {
		c, client := gathering(t)
		var sent []byte
		closed := make(chan error, 1)
		go func() {
			for i, size := range sizes {
				p := bytes.Repeat([]byte{byte('a' + i)}, size)
				sent = append(sent, p...)
				if n, err := c.Write(p); n != size || err != nil {
					t.Errorf("%v: wrote %d, %v", sizes, n, err)
				}
				clear(p) // it is the caller's again
			}
			closed <- c.Close()
		}()
		got, err := io.ReadAll(client)
		if err := errors.Join(err, <-closed); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%v: %d of %d bytes, %v", sizes, len(got), len(sent), err)
		}
		if c.held != nil {
			t.Errorf("%v: a closed connection holds a buffer", sizes)
		}
	}
}

// Goroutines that are ready write before anything is sent. With one processor the scheduler
// keeps to this but for one turn in 61, and no other test runs meanwhile, because this one is
// not parallel.
func TestGatherTurns(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const rounds = 50
	together := 0
	for range rounds {
		c, client := gathering(t)
		go c.Write([]byte(" and another"))
		if _, err := c.Write([]byte("one answer")); err != nil {
			t.Fatal(err)
		}
		var p [100]byte
		if n, err := client.Read(p[:]); err != nil {
			t.Fatal(err)
		} else if string(p[:n]) == "one answer and another" {
			together++
		}
	}
	if together < rounds/2 {
		t.Errorf("%d of %d times two answers went out together", together, rounds)
	}
}

// A call of Write that waits for the client is cut short by Close, and by the client's end.
func TestGatherBroken(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *gather, client net.Conn) error{
		"closed":        func(c *gather, _ net.Conn) error { return c.Close() },
		"client closed": func(_ *gather, client net.Conn) error { return client.Close() },
	} {
		c, client := gathering(t)
		written := make(chan error, 1)
		go func() {
			_, err := c.Write(make([]byte, 3*len(room{})))
			written <- err
		}()
		if _, err := client.Read(make([]byte, 1)); err != nil { // it is under way
			t.Fatal(err)
		}
		if err := end(c, client); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-written; err == nil {
			t.Errorf("%s: the write succeeded", name)
		}
		if n, err := c.Write([]byte("more")); n != 0 || err == nil {
			t.Errorf("%s: then wrote %d, %v", name, n, err)
		}
	}
}

// A server that is closed waits for no client.
func TestGatherCut(t *testing.T) {
	t.Parallel()
	c, client := gathering(t)
	if _, err := c.Write([]byte("taken over")); err != nil {
		t.Fatal(err)
	}
	c.kept.cut.Store(true)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(client); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A client that takes no byte for a minute is cut off, and one that takes some is not,
// whatever deadlines are set from above.
func TestGatherSlowClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, client := gathering(t)
		if _, err := c.Write([]byte("abcdefgh")); err != nil {
			t.Fatal(err)
		}
		var p [1]byte
		for i := range 5 {
			time.Sleep(50 * time.Second) // of the test's own clock
			if _, err := client.Read(p[:]); err != nil || p[0] != byte('a'+i) {
				t.Fatalf("byte %d: %q, %v", i, p, err)
			}
			for range 2 { // the second one would meet a write that has got no byte through
				if err := c.SetWriteDeadline(time.Unix(1, 0)); err != nil {
					t.Error(err)
				}
				synctest.Wait()
			}
		}
		time.Sleep(2 * middleware.DefaultIdle)
		if _, err := c.Write([]byte("more")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after a minute: %v", err)
		}
		if _, err := client.Read(p[:]); !errors.Is(err, io.EOF) {
			t.Errorf("the client reads %q, %v", p, err)
		}
	})
}
