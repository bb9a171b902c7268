package trip

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"persona-sidecar/cmd/demo/internal/website"
	"persona-sidecar/cmd/internal/visitor"
)

// oddTarget has everything that a careless proxy would tidy up.
const oddTarget = "/request.json?a=1;b=%zz&c=//..%2f"

// streamDeadline is how long the first beat of the clock may take.
const streamDeadline = 5 * time.Second

func (t *Trip) visitWebsite(ctx context.Context) (string, error) {
	page, err := t.get(ctx, t.client, t.Origin+"/")
	if err != nil {
		return "", err
	}
	if !strings.Contains(string(page.Body), "Example Clockworks") {
		return "", fmt.Errorf("another page came: %s", visitor.Brief(page.Body))
	}
	return fmt.Sprintf("%s: %s, %d bytes, %s, %s", t.Origin, page.Status, len(page.Body), page.Proto, tls.VersionName(page.TLS.Version)), nil
}

// visitUnchanged sends an odd query and a forged client address, and lets the website tell what reached it.
func (t *Trip) visitUnchanged(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Origin+"/", nil)
	if err != nil {
		return "", fmt.Errorf("asking for %s: %w", oddTarget, err)
	}
	request.URL.Path, request.URL.RawQuery, _ = strings.Cut(oddTarget, "?")
	request.Header.Set("X-Forwarded-For", "192.0.2.66")
	got, err := t.received(t.client, request)
	if err != nil {
		return "", err
	}
	switch client := got.Get("X-Forwarded-For"); {
	case got.Target != oddTarget:
		return "", fmt.Errorf("the website was asked for %s, not %s", got.Target, oddTarget)
	case !strings.HasPrefix(t.Origin, "https://"+got.Host):
		return "", fmt.Errorf("the website was told the host %s", got.Host)
	case got.Get("X-Forwarded-Proto") != "https":
		return "", fmt.Errorf("the website was told the scheme %q", got.Get("X-Forwarded-Proto"))
	case client == "" || strings.Contains(client, "192.0.2.66"):
		return "", fmt.Errorf("the website was told the client address %q, which was forged", client)
	default:
		return fmt.Sprintf("host %s, query byte for byte, client %s, forged address dropped", got.Host, client), nil
	}
}

// received asks the website for a request as it arrived there.
func (t *Trip) received(client visitor.Client, request *http.Request) (website.Received, error) {
	page, err := client.Do(request)
	if err == nil {
		err = page.Want(http.StatusOK)
	}
	if err != nil {
		return website.Received{}, err
	}
	var got website.Received
	if err := json.Unmarshal(page.Body, &got); err != nil {
		return website.Received{}, fmt.Errorf("reading what the website received: %w", err)
	}
	return got, nil
}

// visitStream waits for the first event of an answer that has no end.
func (t *Trip) visitStream(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, streamDeadline)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Origin+"/clock/beats", nil)
	if err != nil {
		return "", fmt.Errorf("asking for the stream: %w", err)
	}
	began := t.Now()
	response, err := t.Client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // it has no end to be read to
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("waiting for the first event of %s: %w", request.URL, err)
	}
	moment, isEvent := strings.CutPrefix(strings.TrimSpace(line), "data: ")
	if !isEvent {
		return "", fmt.Errorf("not an event: %s", visitor.Brief([]byte(line)))
	}
	return fmt.Sprintf("first event %s after %s", moment, t.Now().Sub(began).Round(time.Millisecond)), nil
}

func (t *Trip) visitPlain(ctx context.Context) (string, error) {
	page, err := t.client.Get(ctx, t.PlainOrigin+"/people?a=b;c", nil)
	if err == nil {
		err = page.Want(http.StatusPermanentRedirect)
	}
	if err != nil {
		return "", err
	}
	if at, wanted := page.Header.Get("Location"), t.Origin+"/people?a=b;c"; at != wanted {
		return "", fmt.Errorf("it leads to %s, not %s", at, wanted)
	}
	return "308 to " + page.Header.Get("Location"), nil
}

// visitWithCookie proves that a website behind the sidecar never holds what it could impersonate its visitors with.
func (t *Trip) visitWithCookie(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Origin+"/request.json", nil)
	if err != nil {
		return "", fmt.Errorf("asking the website what it received: %w", err)
	}
	request.AddCookie(&http.Cookie{Name: "site", Value: "its own"})
	got, err := t.received(t.visitor.Client, request)
	if err != nil {
		return "", err
	}
	if got.SidecarCookie {
		return "", errors.New("the website received the sign-in cookie")
	}
	if strings.Join(got.Cookies, " ") != "site" {
		return "", fmt.Errorf("the website received the cookies %q, not its own alone", got.Cookies)
	}
	return "of two cookies the website got its own", nil
}

// visitAsPerson lets the website tell who it was told is signed in. What a client claims of that does not count.
func (t *Trip) visitAsPerson(ctx context.Context) (string, error) {
	for client, wanted := range map[*visitor.Client]string{&t.client: "", &t.visitor.Client: t.Login} {
		told, err := t.told(ctx, *client, t.Origin)
		if err != nil {
			return "", err
		}
		if told != wanted {
			return "", fmt.Errorf("the website was told of %q, not of %q", told, wanted)
		}
	}
	return "it is told of " + t.Login + "; a claim by another client is dropped", nil
}

// visitHandedOver goes the way in of a website on another host than the sign-in. No page is shown on it to a person who
// is signed in.
func (t *Trip) visitHandedOver(ctx context.Context) (string, error) {
	at, hops := t.DelegateOrigin+"/persona/login?return=/request.json", 0
	for ; at != t.DelegateOrigin+"/request.json"; hops++ {
		if hops == 4 {
			return "", fmt.Errorf("after %d redirects the way leads on to %s", hops, at)
		}
		page, err := t.visitor.Get(ctx, at, nil)
		if err == nil {
			err = page.Want(http.StatusSeeOther)
		}
		if err != nil {
			return "", err
		}
		to, err := page.Location()
		if err != nil {
			return "", fmt.Errorf("going on from %s: %w", at, err)
		}
		at = to.String()
	}
	told, err := t.told(ctx, t.visitor.Client, t.DelegateOrigin)
	if err == nil && told != t.Login {
		err = fmt.Errorf("the website was told of %q, not of %q", told, t.Login)
	}
	return fmt.Sprintf("%s is told of %s after %d redirects", t.DelegateOrigin, t.Login, hops), err
}

func (t *Trip) visitAfterSignOut(ctx context.Context) (string, error) {
	for _, origin := range []string{t.Origin, t.DelegateOrigin} {
		told, err := t.told(ctx, t.visitor.Client, origin)
		if err != nil {
			return "", err
		}
		if told != "" {
			return "", fmt.Errorf("%s is still told of %s", origin, told)
		}
	}
	return "both are told of no one", nil
}

// told returns who the website of an origin is told is signed in, although the client claims to be someone.
func (t *Trip) told(ctx context.Context, client visitor.Client, origin string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/request.json", nil)
	if err != nil {
		return "", fmt.Errorf("asking the website what it received: %w", err)
	}
	request.Header.Set("Remote-User", "root")
	got, err := t.received(client, request)
	return got.Get("Remote-User"), err
}
