-- Grafana's role: it may read the views, and nothing else. Run after each migration; idempotent.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollwatch_reader') THEN CREATE ROLE rollwatch_reader LOGIN; END IF;
END $$;
ALTER ROLE rollwatch_reader PASSWORD :'reader_password';
ALTER ROLE rollwatch_reader SET default_transaction_read_only = on;
ALTER ROLE rollwatch_reader SET statement_timeout = '30s';
GRANT CONNECT ON DATABASE rollwatch TO rollwatch_reader;
GRANT USAGE ON SCHEMA public TO rollwatch_reader;
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT viewname FROM pg_views WHERE schemaname = 'public' AND viewname LIKE 'v\_%' LOOP
    EXECUTE format('GRANT SELECT ON public.%I TO rollwatch_reader', name);
  END LOOP;
END $$;
