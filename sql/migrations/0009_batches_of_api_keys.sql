-- migrate:up

-- Most batches of exchanges are judged by a plan with half of the steps.

-- load: functions/judge_exchanges_2.sql
