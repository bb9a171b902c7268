package main

// The configurations are what the programs' own documentation recommends for speed:
// logs off (persona's is on), kept connections to the website, no limits.

const nginxConfig = `
user root;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log crit;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_timeout 120s; keepalive_requests 100000000;
  client_max_body_size 0; client_body_buffer_size 64k;
  ssl_session_cache shared:a:10m; ssl_protocols TLSv1.2 TLSv1.3;
  upstream website { server {website}; keepalive 256; keepalive_requests 100000000; }
  server {
    listen {address} ssl http2 reuseport backlog=4096;
    http2_max_concurrent_streams 250;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    location / {
      proxy_pass http://website;
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_request_buffering off; proxy_buffers 16 32k; proxy_buffer_size 32k; proxy_busy_buffers_size 64k;
    }
  }
}
`

const haproxyConfig = `
global
  nbthread 2
  maxconn 8000
  tune.ssl.cachesize 20000
defaults
  mode http
  timeout connect 10s
  timeout client 120s
  timeout server 120s
  http-reuse always
frontend f
  bind {address} ssl crt {folder}/tls.pem alpn h2,http/1.1 backlog 4096
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto https
  default_backend b
backend b
  server s {website} pool-max-conn 1024
`

const caddyConfig = `
{
  admin off
  auto_https off
}
https://127.0.0.1:{port}, https://bench.test:{port} {
  bind 127.0.0.1
  tls {folder}/cert.pem {folder}/key.pem
  reverse_proxy {website} {
    transport http {
      keepalive_idle_conns_per_host 1024
    }
  }
}
`

const personaConfig = `
state_dir: {folder}/state
listen: {https: "{address}", http: "", admin: "127.0.0.1:0", public_https: {port}}
tls: {mode: files, cert_file: {folder}/cert.pem, key_file: {folder}/key.pem}
domains:
  - {name: bench.test, hosts: ["127.0.0.1"], upstream: "http://{website}"}
`
